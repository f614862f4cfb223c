"""The last lines of the log, kept in memory for who looks at them without its file."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

LINES = 1_000
MAX_CHARACTERS = 2_000
"""Of one value, a traceback for example; its end is kept."""

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line as it was written, with its values apart."""

    at: datetime
    level: str
    event: str
    fields: Mapping[str, Value]


_lines: deque[LogLine] = deque(maxlen=LINES)
_lock = threading.Lock()


def keep(line: LogLine) -> None:
    """Add a line, and forget the oldest if there are `LINES`."""
    with _lock:
        _lines.append(line)


def recent_lines() -> list[LogLine]:
    """Return the lines that are kept, newest last."""
    with _lock:
        return list(_lines)
