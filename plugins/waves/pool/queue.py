"""The jobs that wait: live ones first, then backfill, then those for this machine alone."""

from collections import deque

from plugins.waves.pool.job import Job


class Backlog:
    """Three queues in one; called with the lock of the pool."""

    def __init__(self) -> None:
        self._live: deque[Job] = deque()
        self._backfill: deque[Job] = deque()
        self._here: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._live) + len(self._backfill) + len(self._here)

    def put(self, job: Job) -> None:
        """Append a job to those of its kind."""
        self._queue_of(job).append(job)

    def put_first(self, job: Job) -> None:
        """Put a job before all others of its kind."""
        self._queue_of(job).appendleft(job)

    def first(self, now: float, *, others: bool, here: bool) -> Job | None:
        """Return the next job that may begin by `now` (monotonic), None if none may.

        `here` is whether it may be one for this machine alone, `others` whether any other.
        """
        queues = (*((self._live, self._backfill) if others else ()), *((self._here,) * here))
        return next((job for queue in queues for job in queue if job.not_before <= now), None)

    def remove(self, job: Job) -> None:
        """Take a job out."""
        self._queue_of(job).remove(job)

    def promote(self, job: Job) -> None:
        """Make a backfill job a live one."""
        if job in self._backfill:
            self._backfill.remove(job)
            self._live.append(job)
        job.live = True  # one that is running, too: it may come back

    def displace(self) -> Job | None:
        """Take the last job that is not live, which can wait best; None if there is none."""
        queue = self._here or self._backfill
        return queue.pop() if queue else None

    def clear(self) -> list[Job]:
        """Take them all."""
        jobs = [*self._live, *self._backfill, *self._here]
        for queue in (self._live, self._backfill, self._here):
            queue.clear()
        return jobs

    def _queue_of(self, job: Job) -> deque[Job]:
        if job.here:
            return self._here
        return self._live if job.live else self._backfill
