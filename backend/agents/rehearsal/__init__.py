"""Agents that answer without a model, from a script."""
