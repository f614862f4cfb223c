"""A watchdog timer: what it was given happens unless it is stopped in time."""

import asyncio
from collections.abc import Callable
from time import monotonic


class Watchdog:
    """Calls `expire` on the event loop once it has run for its time; it can be started again."""

    def __init__(self, expire: Callable[[], object]) -> None:
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None
        self.since: float | None = None
        """When it was started, as `time.monotonic` tells; None unless it runs."""

    @property
    def runs(self) -> bool:
        """Whether it was started and not stopped since."""
        return self.since is not None

    def start(self, limit_s: float) -> None:
        """Begin to wait, anew if it waits already."""
        self.stop()
        self.since = monotonic()
        self._timer = asyncio.get_running_loop().call_later(limit_s, self._expire)

    def stop(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self.since = None
