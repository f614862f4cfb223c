"""`serve` as a process of its own, for tests that attack it, starve it or stop it."""

import signal
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import psutil

from tests.command import Running, free_port

READY = "listening"
USUAL_START_S = 2.0
"""What a start takes on a quiet machine."""


class Serving(Running):
    """A server on a free port of its own.

    `slowness` is how many times longer than usual its start took, 1 at least, after `wait_for`:
    what a limit of time is multiplied by on a machine that is busy with others.
    """

    def __init__(
        self, cwd: Path, env: Mapping[str, str] | None = None, *, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.slowness = 0.0
        self._began = monotonic()
        super().__init__("serve", "--port", str(self.port), cwd=cwd, env=env)
        self.process = psutil.Process(self._process.pid)

    def wait_for(self, words: str) -> None:
        """Wait until a line with `words` has been said; see how slow the machine is."""
        super().wait_for(words)
        took_s = monotonic() - self._began
        self.slowness = self.slowness or max(1.0, took_s / USUAL_START_S)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal and go on."""
        self._process.send_signal(number)

    def wait(self, limit_s: float) -> int:
        """Return the exit code once the process has ended."""
        return self._process.wait(limit_s)

    def resident_mb(self) -> float:
        """Return how much memory the server holds."""
        return self.process.memory_info().rss / 1e6
