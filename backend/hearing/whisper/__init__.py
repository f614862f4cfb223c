"""Whisper by faster-whisper, an optional extra, with a model of the user's own."""

from backend.hearing.whisper.engine import WhisperEngine, is_installed, missing_files

__all__ = ["WhisperEngine", "is_installed", "missing_files"]
