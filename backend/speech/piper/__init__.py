"""The voices of Piper."""

from backend.speech.piper.engine import PiperEngine, is_installed

__all__ = ["PiperEngine", "is_installed"]
