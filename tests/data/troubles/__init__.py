"""Plugins and receivers that do what a plugin must not do."""
