"""Sockets to listen on, and connections with a limit for every silence."""
