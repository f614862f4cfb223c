"""The thread that runs the callbacks of ended jobs, one after the other."""

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

import structlog

from plugins.waves.pool.job import Job, Outcome, Work

log = structlog.get_logger(__name__)


class CallbackThread(threading.Thread):
    """Calls `Work.end` for every ended job that is put, until it is closed.

    `take_waiters(job)` returns those who still wait for a job, and nothing once there are none.
    `put` and `close` are called with the lock of the pool.
    """

    def __init__(self, take_waiters: Callable[[Job], list[Work]]) -> None:
        super().__init__(name="pool-callbacks", daemon=True)
        self._take_waiters = take_waiters
        self._ends: SimpleQueue[tuple[Work | Job, Outcome] | None] = SimpleQueue()
        self.accepts = False
        """Whether `put` may be called; if not, the caller runs the callbacks itself."""

    def put(self, ended: Work | Job, outcome: Outcome) -> None:
        """Have the callbacks run soon; return at once."""
        self._ends.put((ended, outcome))

    def close(self) -> None:
        """End the thread after what was put before."""
        self.accepts = False
        self._ends.put(None)

    def run(self) -> None:
        """Run callbacks until the thread is closed; one that failed is tried once more."""
        while (end := self._ends.get()) is not None:
            try:
                self.run_callbacks(*end)
            except Exception:
                log.exception("the callbacks of a job failed; they are called once more")
                with suppress(Exception):
                    self.run_callbacks(*end)

    def run_callbacks(self, ended: Work | Job, outcome: Outcome) -> None:
        """Call `end` of all who wait, and of those who join them meanwhile."""
        if not isinstance(ended, Job):
            _end(ended, outcome)
            return
        while works := self._take_waiters(ended):
            for work in works:
                _end(work, outcome)


def _end(work: Work, outcome: Outcome) -> None:
    try:
        work.end(outcome)
    except (Exception, SystemExit):
        log.exception("the callback of a job failed", path=work.path, reason=outcome.reason)
