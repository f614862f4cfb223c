"""The voices that are installed with the program, by eSpeak NG."""

from backend.speech.espeak.engine import EmbeddedEngine, missing_voices

__all__ = ["EmbeddedEngine", "missing_voices"]
