"""Agents that answer without a model, from written lines."""

from backend.agents.rehearsal.agents import play

__all__ = ["play"]
