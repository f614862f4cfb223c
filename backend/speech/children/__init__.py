"""The speech engines in child processes: espeak-ng, which is installed, and Piper, an extra."""

from backend.speech.children.engine import EmbeddedEngine, PiperEngine

__all__ = ["EmbeddedEngine", "PiperEngine"]
