"""The hearing engines in child processes: moonshine, which is installed, and Whisper, an extra."""

from backend.hearing.children.engine import EmbeddedEngine, WhisperEngine

__all__ = ["EmbeddedEngine", "WhisperEngine"]
