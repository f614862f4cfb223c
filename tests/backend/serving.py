"""`serve` as a process of its own, for tests that attack it, starve it or stop it."""

import signal
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.command import Running, free_port

READY = "listening"


class Serving(Running):
    """A server on a free port of its own."""

    def __init__(
        self, cwd: Path, env: Mapping[str, str] | None = None, *, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        super().__init__("serve", "--port", str(self.port), cwd=cwd, env=env)
        self.process = psutil.Process(self._process.pid)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal and go on."""
        self._process.send_signal(number)

    def wait(self, limit_s: float) -> int:
        """Return the exit code once the process has ended."""
        return self._process.wait(limit_s)

    def resident_mb(self) -> float:
        """Return how much memory the server holds."""
        return self.process.memory_info().rss / 1e6
