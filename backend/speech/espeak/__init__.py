"""The voices that are installed with the program, by eSpeak NG."""

from backend.speech.espeak.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
