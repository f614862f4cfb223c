"""A watchdog timer: it calls a function unless it is stopped in time."""

import asyncio
from collections.abc import Callable
from time import monotonic


class Watchdog:
    """Call `expire` on the event loop at the time limit; it can be started again."""

    def __init__(self, expire: Callable[[], object]) -> None:
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None
        self.since: float | None = None
        """When it was started, by `time.monotonic`; None unless it runs."""

    @property
    def runs(self) -> bool:
        """Whether it is running."""
        return self.since is not None

    def start(self, limit_s: float) -> None:
        """Start, or start again."""
        self.stop()
        self.since = monotonic()
        self._timer = asyncio.get_running_loop().call_later(limit_s, self._expire)

    def stop(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self.since = None
