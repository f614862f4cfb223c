"""One lane of the pool: a thread that keeps one worker alive and gives it jobs, one by one.

    start a worker  --problem-->  wait 1, 2, 4 ... s, start again
         |   ^
         v   +---------- reap it: died idle, died in a job, did not answer in time
    take a job, run it, finish it

A job whose worker crashed stays with its lane for a second attempt, so that one file cannot crash
the workers of all lanes; with less, where less can be done. That a worker was killed from outside
says nothing about the file: the job is tried again at once, then after growing pauses, in which the
lane does other jobs. A lane without a worker gives its job back. A job that timed out is not tried
again, unless less can be done.

Starts that fail the same way three times by a fault of their own have a cause that does not pass:
where no lane has a worker, the pool then refuses jobs with it, until a further start succeeds.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import structlog

from plugins.waves.pool.job import Job
from plugins.waves.pool.job_table import JobTable
from plugins.waves.pool.quarantine import identity
from plugins.waves.process import Note, Report, Task, Worker, WorkerDiedError, WorkerTimeoutError

log = structlog.get_logger(__name__)

START_LIMIT_S = 300.0
"""Imports at the lowest priority take as long as that on a busy machine."""
IDLE_CHECK_S = 1.0
FIRST_BACK_OFF_S, MAX_BACK_OFF_S = 1.0, 30.0
MAX_CRASHES = 2
KILL_PAUSES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Before each further attempt after a worker was killed from outside: none at first, since most
kills are single ones; half a minute in all, which is longer than a short lack of memory."""
KILL_LIMIT_S = 120.0
"""No attempt begins later than this after the first, however long each one took."""


class Supervisor(Protocol):
    """What a lane needs of its pool besides jobs."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether other machines do the jobs now."""

    def update_state(self) -> None:
        """Read every lane's `ready` and `problem` again."""

    def log_note(self, note: Note) -> None:
        """Log a line of a worker."""

    def prepare(self, cancelled: threading.Event, *, died: bool) -> None:
        """Prepare for a worker; `died` says that the last one died at its start."""

    def starting(self) -> AbstractContextManager[bool]:
        """Hold this until a new worker is `ready`; yields whether none of the pool was before."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What the workers of all lanes run, and within which limits; see `Pool`."""

    task: Task
    warm_up: Task
    timeout_s: float
    memory_limit_mb: int
    low_priority: bool
    reduce: Callable[[object, str], object | None]


class Lane(threading.Thread):
    """A thread that takes jobs and has its worker do them.

    The thread lives as long as its workers: on Linux they are killed when it ends.
    """

    def __init__(
        self,
        index: int,
        jobs: JobTable,
        pool: Supervisor,
        options: WorkerOptions,
    ) -> None:
        super().__init__(name=f"pool-lane-{index}", daemon=True)
        self._jobs = jobs
        self._pool = pool
        self._options = options
        self._worker: Worker | None = None
        self._ended = threading.Event()
        self._replaced_pid: int | None = None
        self._died_at_start = False
        self.job: Job | None = None
        """The job this lane holds; set in `take`."""
        self.ready = False
        self.problem = ""
        """Why the last start of a worker failed."""
        self.failed_starts = 0
        self.same_failures = 0  # in a row, of a problem that may not pass

    is_here = True
    """Whether it takes jobs that only this machine can do."""

    @property
    def waits(self) -> bool:
        """Whether other machines do the other jobs now."""
        return self._pool.is_elsewhere

    @property
    def worker_pid(self) -> int | None:
        """The id of the worker process, for logs and tests."""
        worker = self._worker  # the lane's own thread may discard it meanwhile
        return worker.pid if worker else None

    def end(self) -> None:
        """Stop taking jobs and give up the present one; callable from any thread."""
        self._ended.set()

    def run(self) -> None:
        """Take jobs until the lane is ended."""
        while not self._ended.is_set():
            try:
                self._step()
            except (Exception, SystemExit) as error:
                log.exception("a lane of the pool failed", lane=self.name)
                self._discard()
                if self.job is not None:
                    self._finish(self.job, "error", f"{type(error).__name__}: {error}")
                self._ended.wait(FIRST_BACK_OFF_S)  # a defect that stays must not fill the log
        self._discard()
        if self.job is not None:
            self._finish(self.job, "stopped", "the host stopped before the job was done")

    def _step(self) -> None:
        """Start a worker if there is none, else wait a moment for a job and do it."""
        if self._worker is None:
            self._start_worker()
            return
        job = self.job or self._jobs.take(self, IDLE_CHECK_S)
        if self._ended.is_set():
            return
        if not self._worker.alive:
            log.warning(
                "an idle worker ended; a new one is started",
                lane=self.name,
                pid=self._worker.pid,
                how=self._worker.how_it_ended(),
            )
            self._discard()
        elif job is not None:
            self._attempt(job)

    def _start_worker(self) -> None:
        options = self._options
        with self._pool.starting() as first:
            if self._ended.is_set():
                return
            if first or self._died_at_start:
                self._pool.prepare(self._ended, died=self._died_at_start)
            self._died_at_start = may_pass = False
            try:
                self._worker = worker = Worker(
                    options.memory_limit_mb,
                    self._ended,
                    self._pool.log_note,
                    low_priority=options.low_priority,
                )
                report = worker.run(START_LIMIT_S, options.warm_up, first, self._replaced_pid)
                problem = report.message if report.reason else ""
                may_pass = report.reason == "out_of_memory"
            except (WorkerDiedError, WorkerTimeoutError) as error:
                problem = str(error)
                self._died_at_start = True
                may_pass = getattr(error, "from_outside", True)
            except Exception as error:  # noqa: BLE001 - logged as the problem, with a pause after it
                problem, may_pass = f"{type(error).__name__}: {' '.join(str(error).split())}", True
            same = self.same_failures if problem == self.problem else 0
            self.same_failures = same + 1 if problem and not may_pass else 0
            self.ready, self.problem = not problem, problem
        if self._ended.is_set():
            return
        self.failed_starts = self.failed_starts + 1 if problem else 0
        if problem:
            self._back_off()
            return
        log.debug("a worker is ready", lane=self.name, pid=worker.pid, report=report.data)
        self._pool.update_state()

    def _back_off(self) -> None:
        doublings = min(self.failed_starts - 1, 10)  # a float takes no more than 1,023
        seconds = min(FIRST_BACK_OFF_S * 2**doublings, MAX_BACK_OFF_S)
        log.warning(
            "a worker could not start",
            lane=self.name,
            pid=self.worker_pid,
            problem=self.problem,
            failed_starts=self.failed_starts,
            next_try_s=seconds,
        )
        self._discard()
        if self.job is not None:
            job, self.job = self.job, None
            self._jobs.give_back(job)
        self._pool.update_state()  # also where there was no worker to discard
        self._ended.wait(seconds)

    def _attempt(self, job: Job) -> None:
        assert self._worker is not None  # noqa: S101 - for the type checker: _step() saw to it
        if job.started_at is None:
            job.started_at = monotonic()
            try:
                job.payload = job.works[0].begin((job.started_at - job.accepted_at) * 1000)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the outcome
                self._finish(job, "error", str(error) or type(error).__name__)
                return
            job.size = (identity(job.path) or (0, 0, 0))[1]
        job.attempts += 1
        job.attempted_at = monotonic()
        try:
            report = self._worker.run(self._options.timeout_s, self._options.task, job.payload)
        except WorkerTimeoutError as error:
            self._discard()
            if not self._reduce(job, str(error)):
                self._finish(job, "timeout", str(error))
        except WorkerDiedError as error:
            pid = self._worker.pid
            self._discard()
            if self._ended.is_set():
                self._finish(job, "stopped", "the host stopped before the job was done")
            elif error.from_outside:
                self._try_later(job, pid, str(error))
            else:
                job.crashes += 1
                if job.crashes == MAX_CRASHES:
                    message = f"the worker died {job.crashes} times, last {error}"
                    self._finish(job, "crashed", message)
                    return
                self._reduce(job, str(error))
                job.attempted_at = None
                log.warning(
                    "a worker died in a job, which is tried once more",
                    path=job.path,
                    pid=pid,
                    how=str(error),
                )
        else:
            self._finish(job, report.reason, report.message, report)

    def _reduce(self, job: Job, how: str) -> bool:
        """Have less of a job done in its next attempt; tell whether there is less."""
        less = self._options.reduce(job.payload, how)
        if less is not None:
            job.payload, job.attempted_at = less, None
        return less is not None

    def _try_later(self, job: Job, pid: int | None, how: str) -> None:
        """Have a job whose worker was killed done again, or end it if that happened too often."""
        job.attempted_at, job.kills = None, job.kills + 1
        pause_s = dict(enumerate(KILL_PAUSES_S, 1)).get(job.kills)
        tried_s = monotonic() - (job.started_at or 0.0)
        if pause_s is None or tried_s + pause_s > KILL_LIMIT_S:
            if self._reduce(job, how):
                return
            message = f"the worker was killed from outside {job.kills} times, last {how}"
            self._finish(job, "killed", message)
            return
        log.warning(
            "a worker was killed in a job, which is tried again",
            path=job.path,
            pid=pid,
            how=how,
            pause_s=pause_s,
        )
        if pause_s:
            job.not_before = monotonic() + pause_s
            self.job = None
            self._jobs.give_back(job)

    def _finish(self, job: Job, reason: str, message: str, report: Report | None = None) -> None:
        outcome = job.outcome(reason, message, report)
        self.job = None
        try:
            self._jobs.finish(job, outcome)
        except BaseException:
            self.job = job  # for `run`, which ends it as an error
            raise

    def _discard(self) -> None:
        if self._worker is None:
            return
        worker, self._worker, self.ready = self._worker, None, False
        self._replaced_pid = worker.pid
        try:
            worker.discard()
        except Exception:
            log.exception("a worker could not be killed", lane=self.name, pid=worker.pid)
        self._pool.update_state()
