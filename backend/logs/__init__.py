"""The log: its setup, and the thread that writes it."""

from backend.logs.setup import configure_logging
from backend.logs.writer import flush, flushed

__all__ = ["configure_logging", "flush", "flushed"]
