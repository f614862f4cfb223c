"""The jobs of a pool from `submit` until their callbacks have run."""

import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

import structlog

from plugins.waves.pool.callbacks import CallbackThread
from plugins.waves.pool.job import Job, Outcome, Work
from plugins.waves.pool.load import Load
from plugins.waves.pool.quarantine import Quarantine, identity
from plugins.waves.pool.queue import Backlog

log = structlog.get_logger(__name__)


class Taker(Protocol):
    """A lane, as far as it matters here."""

    job: Job | None

    @property
    def waits(self) -> bool:
        """Whether others take jobs now; `changed` is notified of changes."""

    @property
    def is_here(self) -> bool:
        """Whether it takes jobs that only this machine can do."""

    def end(self) -> None:
        """Take no more jobs."""


class JobTable:
    """Accepts jobs, gives them to lanes, and ends each exactly once.

    At most `capacity` jobs wait or run. `is_paused()` says whether no job should begin now; it is
    called without the lock.
    """

    def __init__(self, capacity: int, is_paused: Callable[[], bool]) -> None:
        self.changed = threading.Condition()
        """Held for every change; notified when a job can be taken, or the last one has ended."""
        self.is_open = False
        self.load = Load()
        self.quarantine = Quarantine()
        self._capacity = capacity
        self._is_paused = is_paused
        self.refusal = ""
        self._waiting = Backlog()
        self._jobs: dict[str, Job] = {}
        self._callbacks = CallbackThread(self._take_waiters)

    @property
    def queued(self) -> int:
        """How many jobs wait for a lane."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether no further job would be accepted, unless it displaces one."""
        return len(self._jobs) >= self._capacity

    def __contains__(self, path: object) -> bool:
        return path in self._jobs

    def open(self) -> None:
        """Accept jobs from now on."""
        self._callbacks.start()
        self.is_open = self._callbacks.accepts = True

    def submit(self, work: Work, *, live: bool, here: bool) -> bool:
        """Accept or refuse one job; see `Pool.submit`."""
        with self.changed:
            job = self._jobs.get(work.path)
            if not self.is_open:
                refusal = Outcome("stopped", "the pool is not running")
            elif job is not None:
                job.works.append(work)
                if live:
                    self._waiting.promote(job)
                return True
            elif self.refusal:
                refusal = Outcome("no_worker", self.refusal)
            elif self.is_full and not (live and self._displace()):
                self.load.refuse()
                message = f"{self._capacity} jobs are already waiting or running"
                refusal = Outcome("queue_full", message)
            else:
                job = Job(work.path, [work], live, monotonic(), here)
                self._waiting.put(job)
                self._jobs[work.path] = job
                self.changed.notify_all()  # one may wait although there is a job
                return True
            if self._callbacks.accepts:
                self._callbacks.put(work, refusal)
                return False
        self._callbacks.run_callbacks(work, refusal)
        return False

    def refuse(self, why: str) -> None:
        """Refuse the jobs that wait, and all others until `why` is empty."""
        with self.changed:
            self.refusal = why
            refused = self._waiting.clear() if why else []
        for job in refused:
            self.finish(job, job.outcome("no_worker", why))

    def take(self, taker: Taker, timeout_s: float) -> Job | None:
        """Give `taker` the next job, None if none came in time, or if none should begin now."""
        paused = self._is_paused()
        with self.changed:
            self.changed.wait_for(
                lambda: (not paused and self._next(taker)) or not self.is_open, timeout_s
            )
            if not self.is_open:
                taker.end()  # it was busy when the others were ended
            taker.job = job = self._next(taker) if self.is_open and not paused else None
            if job is not None:
                self._waiting.remove(job)
        if job is not None and job.path in self.quarantine:
            taker.job = None
            message = (
                "this file crashed two workers; it is tried again when it changes, or in a day"
            )
            self.finish(job, job.outcome("quarantined", message))
            return None
        return job

    def _next(self, taker: Taker) -> Job | None:
        return self._waiting.first(monotonic(), others=not taker.waits, here=taker.is_here)

    def give_back(self, job: Job) -> None:
        """Put a job first in the queue again."""
        with self.changed:
            if self.is_open:
                self._waiting.put_first(job)
                self.changed.notify_all()
                return
        self.finish(job, job.outcome("stopped", "the host stopped before the job was done"))

    def finish(self, job: Job, outcome: Outcome) -> None:
        """End a job, once."""
        crash_identity = identity(job.path) if outcome.reason == "crashed" else None
        if crash_identity is not None:
            log.warning(
                "a file crashed two workers and is set aside",
                path=job.path,
                how=outcome.message,
                what_to_do="replace or remove it; it is tried again when it changes, in a day, or "
                "with a new version of this program",
            )
        with self.changed:
            if job.ended or self._jobs.get(job.path) is not job:
                return
            if crash_identity is not None:
                self.quarantine.add(job.path, crash_identity)
            if not outcome.reason and job.attempted_at is not None:
                self.load.finish(monotonic() - job.attempted_at, job.size)
            on_thread = self._callbacks.accepts
            if on_thread:
                self._callbacks.put(job, outcome)
            job.ended = True  # last: a step that raises is tried once more
        if not on_thread:
            self._callbacks.run_callbacks(job, outcome)

    def close(self) -> list[Job] | None:
        """Refuse new jobs; return those that have not begun, None if it was closed before."""
        with self.changed:
            if not self.is_open:
                return None
            self.is_open = False
            self.changed.notify_all()
            return self._waiting.clear()

    def wait_until_empty(self, limit_s: float) -> None:
        """Wait until every job has ended and its callbacks have run; only after `close`."""
        with self.changed:
            self.changed.wait_for(lambda: not self._jobs, max(0.0, limit_s))

    def finish_all(self, limit_s: float) -> None:
        """End every job that is left; wait for the callbacks at most `limit_s`."""
        for job in list(self._jobs.values()):
            self.finish(job, job.outcome("stopped", "the host stopped before the job was done"))
        with self.changed:
            self._callbacks.close()
        with suppress(RuntimeError):  # it was not started
            self._callbacks.join(limit_s)

    def _displace(self) -> bool:
        """Refuse the last backfill job, if one waits and its callbacks can be run."""
        job = self._waiting.displace() if self._callbacks.accepts else None
        if job is None:
            return False
        del self._jobs[job.path]
        refusal = job.outcome("queue_full", "a live job took its place")
        for work in job.works:
            self._callbacks.put(work, refusal)
        return True

    def _take_waiters(self, job: Job) -> list[Work]:
        """Take those who wait for the end of a job; when there are none left, forget the job."""
        with self.changed:
            works, job.works = job.works, []
            if not works:
                del self._jobs[job.path]
                if not self.is_open:
                    self.changed.notify_all()
            return works
