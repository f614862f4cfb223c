"""Moonshine, the speech recognition that is installed with the program."""

from backend.hearing.embedded.engine import LANGUAGE, EmbeddedEngine, is_installed

__all__ = ["LANGUAGE", "EmbeddedEngine", "is_installed"]
