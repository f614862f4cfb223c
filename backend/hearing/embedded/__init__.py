"""Moonshine, the speech recognition that is installed with the program."""

from backend.hearing.embedded.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
