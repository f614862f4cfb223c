"""Agents that answer without a model, from a script."""

from backend.agents.rehearsal.agents import play

__all__ = ["play"]
