"""The voices of Piper."""

from backend.speech.piper.engine import PiperEngine

__all__ = ["PiperEngine"]
