"""Counts failures in a row, and pauses what keeps failing."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

import structlog

log = structlog.get_logger(__name__)

PAUSE_AFTER: Final = 3
"""Failures in a row after which something is paused: a visitor waits for each."""
PAUSE_S: Final = 60.0
PAUSED: Final = f"paused after {PAUSE_AFTER} failures in a row"


class Pauses:
    """Which names are paused; any thread may ask."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        self._until: dict[str, float] = {}

    def is_paused(self, name: str) -> bool:
        """Return whether `name` is paused now."""
        with self._lock:
            return self._clock() < self._until.get(name, 0)

    def succeeded(self, name: str) -> None:
        """Forget the failures of `name`."""
        with self._lock:
            self._failures[name] = 0

    def failed(self, name: str) -> str:
        """Count a failure of `name`; return until when it is paused, "" if it is not."""
        with self._lock:
            self._failures[name] += 1
            if self._failures[name] < PAUSE_AFTER:
                return ""
            self._until[name] = self._clock() + PAUSE_S
        log.warning("paused: it keeps failing", name=name, failures=PAUSE_AFTER, pause_s=PAUSE_S)
        until = datetime.now(UTC) + timedelta(seconds=PAUSE_S)
        return f"{PAUSED}, until {until:%H:%M:%S} UTC"
