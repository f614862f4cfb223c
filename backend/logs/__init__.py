"""The log: its setup, the thread that writes it, and its last lines in memory."""

from backend.logs.recent import LINES, LogLine, recent_lines
from backend.logs.setup import configure_logging
from backend.logs.writer import flush, flushed

__all__ = ["LINES", "LogLine", "configure_logging", "flush", "flushed", "recent_lines"]
