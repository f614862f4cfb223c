"""How much speech and waves take on the disk: measured when somebody asks, and seldom.

A walk over 10,000 sessions takes seconds of work, so it runs on a thread, works for a few
milliseconds at a time and then rests four times as long: never more than a fifth of one core. A
measurement is good for `GOOD_FOR` times as long as it took: a small tree is measured anew for
everyone who asks, a large one every few minutes, and both cost at most two percent of a core.
Whoever asks for a newer one waits for it at most `WAIT_S`, and gets the last one otherwise. While
nobody asks, nothing is measured.

Rejected: adding up the files that signals name, which misses what is deleted by hand; remembering
the size of each session, since reading its directories to see whether it changed costs nearly as
much as adding it up.
"""

import asyncio
import os
import threading
from dataclasses import dataclass
from time import monotonic

import structlog

from backend.storage import SERVED_TREES, Artifacts

log = structlog.get_logger(__name__)

WAIT_S = 1.0
WORK_S = 0.005
REST_S = 4 * WORK_S
GOOD_FOR = 10
AT_LEAST_S = 1.0
END_LIMIT_S = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """What the trees take, by their names; `started` and `ended` are of the monotonic clock."""

    bytes: dict[str, int]
    files: dict[str, int]
    started: float
    ended: float

    @property
    def age_s(self) -> float:
        """How long ago it was measured."""
        return monotonic() - self.ended

    @property
    def is_good(self) -> bool:
        """Whether measuring anew would cost too much yet."""
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
        """Have a new measurement if the last is too old; wait for it, but not long."""
        if (self.usage is not None and self.usage.is_good) or self._ended.is_set():
            return
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.create_task(self._measure(), name="measure the disk")
        await asyncio.wait({self._measuring}, timeout=WAIT_S)

    async def aclose(self) -> None:
        """End a measurement that runs."""
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
    """Add up the files of each tree; None if `ended` is set before that is done."""
    size, files = dict.fromkeys(SERVED_TREES, 0), dict.fromkeys(SERVED_TREES, 0)
    started = monotonic()
    rest_at = started + WORK_S
    for tree in SERVED_TREES:
        directories = [str(artifacts.root / tree)]
        while directories:
            try:
                with os.scandir(directories.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            directories.append(entry.path)
                        else:
                            size[tree] += entry.stat(follow_symlinks=False).st_size
                            files[tree] += 1
            except OSError:  # deleted while it was counted, or not readable: it counts nothing
                continue
            if monotonic() > rest_at:
                ended.wait(REST_S)
                rest_at = monotonic() + WORK_S
            if ended.is_set():
                return None
    return Usage(size, files, started, monotonic())
