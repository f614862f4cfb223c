"""The jobs that wait for a lane: live ones first, then backfill, each in their order."""

from collections import deque

from plugins.waves.pool.job import Job


class Backlog:
    """Two queues in one; called with the lock of the pool."""

    def __init__(self) -> None:
        self._live: deque[Job] = deque()
        self._backfill: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._live) + len(self._backfill)

    def put(self, job: Job) -> None:
        """Append a job to those of its kind."""
        self._queue_of(job).append(job)

    def put_first(self, job: Job) -> None:
        """Put a job before all others of its kind."""
        self._queue_of(job).appendleft(job)

    def first(self, now: float) -> Job | None:
        """Return the next job that may begin by `now` (monotonic), None if none may."""
        queues = (self._live, self._backfill)
        return next((job for queue in queues for job in queue if job.not_before <= now), None)

    def pop(self, now: float) -> Job | None:
        """Take the next job that may begin by `now`, None if none may."""
        job = self.first(now)
        if job is not None:
            self._queue_of(job).remove(job)
        return job

    def promote(self, job: Job) -> None:
        """Make a backfill job a live one."""
        if job in self._backfill:
            self._backfill.remove(job)
            self._live.append(job)
        job.live = True  # one that is running, too: it may come back

    def displace(self) -> Job | None:
        """Take the last backfill job, the one that can wait best; None if there is none."""
        return self._backfill.pop() if self._backfill else None

    def clear(self) -> list[Job]:
        """Take them all."""
        jobs = [*self._live, *self._backfill]
        self._live.clear()
        self._backfill.clear()
        return jobs

    def _queue_of(self, job: Job) -> deque[Job]:
        return self._live if job.live else self._backfill
