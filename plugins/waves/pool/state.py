"""The state of a pool: computed every second and at each change, reported when it changes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Literal

import structlog

from plugins.waves.pool.lane import Lane
from plugins.waves.pool.load import SLOW_FACTOR, Load

log = structlog.get_logger(__name__)

UPDATE_EVERY_S = 1.0

State = Literal["ok", "warming", "degraded"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What the state of a pool depends on."""

    lanes: Sequence[Lane]
    load: Load
    queued: int
    is_full: bool
    quarantined: int
    pause_reason: str
    preparing: str

    def state(self) -> tuple[State, str]:
        """Return the state and its reason, which is empty if all is well."""
        if problems := "; ".join(self._problems()):
            return "degraded", problems
        if not any(lane.ready for lane in self.lanes):
            return "warming", self.preparing or "the workers are starting"
        if count := self.quarantined:
            return "ok", f"{count} set aside after crashing two workers each: see the log"
        return "ok", ""

    def _problems(self) -> Iterator[str]:
        if failed := [lane for lane in self.lanes if lane.failed_starts]:
            yield f"{len(failed)} of {len(self.lanes)} workers cannot start: {failed[0].problem}"
        if self.pause_reason:
            yield self.pause_reason
        if self.queued and self.is_full:
            yield f"{self.queued} wait, the queue is full"
        if refused := self.load.refused:
            yield f"{refused} were refused in the last minute"
        if limits := list(self._exceeded_limits_s()):
            yield (
                f"{len(limits)} of {len(self.lanes)} workers take more than {limits[0]:.0f} s for "
                f"a job, {SLOW_FACTOR} times the usual"
            )

    def _exceeded_limits_s(self) -> Iterator[float]:
        """Yield the limit of each attempt that takes far longer than usual."""
        for job in [lane.job for lane in self.lanes]:
            since = job.attempted_at if job else None
            if job and since is not None:
                limit_s = self.load.slow_s(job.size)
                if monotonic() - since > limit_s:
                    yield limit_s


class StateThread(threading.Thread):
    """Calls `update()` every second until it is ended."""

    def __init__(self, update: Callable[[], None]) -> None:
        super().__init__(name="pool-state", daemon=True)
        self._update = update
        self._ended = threading.Event()

    def end(self) -> None:
        """End the thread soon."""
        self._ended.set()

    def run(self) -> None:
        """Update until the thread is ended, whatever an update raises."""
        while not self._ended.wait(UPDATE_EVERY_S):
            try:
                self._update()
            except Exception:
                log.exception("the state of the pool could not be computed")
