"""Subscribers to the host's signals, each a package of its own."""
