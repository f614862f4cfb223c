"""The size of speech and waves on the disk, measured on request, less often the longer it takes.

10,000 sessions take three seconds of work: a thread that works for 5 ms and then sleeps four times
as long, at most a fifth of a core. A measurement is valid for `GOOD_FOR` times as long as it took,
which is at most two percent of a core. A request waits at most `WAIT_S` for a newer one, and then
gets the last one. Rejected: adding up the files that signals name, which misses what is deleted by
hand; remembering each session, as retention does, which takes 1 kB of memory for each.
"""

import asyncio
import threading
from dataclasses import dataclass
from time import monotonic

import structlog

from backend.storage import SERVED_TREES, Artifacts, Tree, walk

log = structlog.get_logger(__name__)

WAIT_S = 1.0
WORK_S = 0.005
REST_S = 4 * WORK_S
GOOD_FOR = 10
AT_LEAST_S = 1.0
END_LIMIT_S = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """The size of each tree; `started` and `ended` are times of the monotonic clock."""

    bytes: dict[Tree, int]
    files: dict[Tree, int]
    started: float
    ended: float

    @property
    def age_s(self) -> float:
        """Seconds since it was measured."""
        return monotonic() - self.ended

    @property
    def is_good(self) -> bool:
        """Whether it is too early to measure again."""
        return self.age_s < max(AT_LEAST_S, GOOD_FOR * (self.ended - self.started))


class DiskUsage:
    """Measures the trees below an artifacts root; use it on one event loop."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._ended = threading.Event()
        self._measuring: asyncio.Task[None] | None = None
        self.usage: Usage | None = None
        """The last measurement; None before the first."""

    async def refresh(self) -> None:
        """Measure again if the last measurement is too old, and wait for it at most `WAIT_S`."""
        if (self.usage is not None and self.usage.is_good) or self._ended.is_set():
            return
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.create_task(self._measure(), name="measure the disk")
        await asyncio.wait({self._measuring}, timeout=WAIT_S)

    async def aclose(self) -> None:
        """Stop a measurement that is running."""
        self._ended.set()
        if self._measuring is not None:
            await asyncio.wait({self._measuring}, timeout=END_LIMIT_S)

    async def _measure(self) -> None:
        try:
            usage = await asyncio.to_thread(measure, self._artifacts, self._ended)
        except Exception:
            log.exception("the disk cannot be measured", root=str(self._artifacts.root))
            return
        self.usage = usage or self.usage


def measure(artifacts: Artifacts, ended: threading.Event) -> Usage | None:
    """Add up the files of each tree; return None if `ended` is set before the end."""
    size, files = dict.fromkeys(SERVED_TREES, 0), dict.fromkeys(SERVED_TREES, 0)
    started = monotonic()
    rest_at = started + WORK_S
    for tree in SERVED_TREES:
        for directory in walk(str(artifacts.root / tree), ignore_errors=True):
            size[tree] += directory.size
            files[tree] += directory.files
            if monotonic() > rest_at:
                ended.wait(REST_S)
                rest_at = monotonic() + WORK_S
            if ended.is_set():
                return None
    return Usage(size, files, started, monotonic())
