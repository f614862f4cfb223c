"""Whisper by faster-whisper, an optional extra, with a model of the user's own."""

from backend.hearing.whisper.engine import WhisperEngine

__all__ = ["WhisperEngine"]
