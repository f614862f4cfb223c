"""Moonshine, the speech recognition that is installed with the program."""

from backend.hearing.embedded.engine import EmbeddedEngine, is_installed

__all__ = ["EmbeddedEngine", "is_installed"]
