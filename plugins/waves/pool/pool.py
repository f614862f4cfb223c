"""The bounded pool: admit jobs, hand them to lanes, recover, drain.

    submit(work) --> [ live ][ backfill ]     at most queue_max_size + lanes jobs, in order
        |                    | take()
        | refused            v
        |               lane thread 1..n: work.begin() --- task, payload -->  worker process 1..n
        |                    |                         <------ Report ------  (spawned)
        v                    v finish()
    doorman thread: work.end(outcome), one after the other

`submit` is called on the event loop between two steps of a visitor's session. So it touches no
file, writes no log line and calls nobody back: it takes a lock, appends and returns. A worker that
dies or hangs costs its own lane a restart and nothing else (see `lane.py`); a job whose worker died
is tried again, and a file that crashes two workers is quarantined until it changes, for a day. A
thread of its own looks at the state every second: it is told even while every lane is stuck. All
ends are told by one thread, the doorman: a lane takes its next job while the last one's end is
still being written down, and a slow disk there fills the queue instead of holding up a worker.

Rejected: concurrent.futures and loky (an idle worker's death ends them for good, a hung worker
stays), pebble (see `process.py`), an asyncio queue (the command line uses the pool too, and
draining must not depend on a loop that is closing).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from queue import SimpleQueue
from time import monotonic
from typing import Literal, Self

import structlog

from plugins.waves.pool.lane import Job, Lane, Outcome, Work
from plugins.waves.pool.load import SLOW_FACTOR, Load
from plugins.waves.pool.quarantine import Quarantine, identity
from plugins.waves.pool.queue import Backlog
from plugins.waves.process import Note, Report, Task

log = structlog.get_logger(__name__)

KILL_LIMIT_S = 1.5
"""What `stop` adds to its limit, at most, to bury what it had to kill."""
WARNINGS_KEPT = 100
LOOK_EVERY_S = 1.0
"""Between two looks at the state."""

State = Literal["ok", "warming", "degraded"]


def no_warm_up(first: bool, replaced_pid: int | None) -> Report:  # noqa: ARG001 - the signature of a warm-up
    """Stand in for a warm-up where a task needs none."""
    return Report()


def no_preparation(
    say: Callable[[str], None],
    given_up: threading.Event,
    died: bool,
) -> None:
    """Stand in for a preparation where a task needs none."""


class Pool:
    """A bounded queue of jobs and a fixed number of worker processes.

    Parameters
    ----------
    task : callable
        Module-level function `task(payload) -> Report`, called in a worker process.
    lanes : int > 0
        Worker processes.
    queue_max_size : int >= 0
        Jobs that may wait while every lane is busy.
    timeout_s : float > 0
        Time for one job; its worker is killed after that.
    warm_up : callable
        Module-level function `warm_up(first, replaced_pid) -> Report`, called once in each new
        worker: whether none of the pool was ready before, and which process it stands in for.
    prepare : callable
        `prepare(say, given_up, died)`, called on a lane's thread before the first worker starts,
        and before one whose predecessor died at its start. While it runs the state is `warming`
        with the reason that it last passed to `say`; it ends soon after `given_up` is set.
    memory_limit_mb : int > 0
        Memory for one worker.
    low_priority : bool
        Whether everything else on the machine goes before the workers.
    on_state : callable
        `on_state(state, reason)`, called whenever the state changes: at first within `start`, then
        on a thread of the pool.
    hindrance : callable
        `hindrance() -> str`, called on the lanes' threads about once a second: why no job should
        begin now, or nothing. Jobs wait meanwhile.
    """

    def __init__(
        self,
        task: Task,
        *,
        lanes: int,
        queue_max_size: int,
        timeout_s: float,
        warm_up: Task = no_warm_up,
        prepare: Callable[[Callable[[str], None], threading.Event, bool], None] = no_preparation,
        memory_limit_mb: int = 2048,
        low_priority: bool = True,
        on_state: Callable[[State, str], None] | None = None,
        hindrance: Callable[[], str] = str,
    ) -> None:
        self._capacity = queue_max_size + lanes
        self._quarter = queue_max_size / 4
        self._on_state = on_state
        self._hindrance = hindrance
        self._prepare = prepare
        self._preparing = ""
        self._hindered_by = ""
        self._state: tuple[State, str] | None = None
        self._changed = threading.Condition()
        self._open = False
        self._waiting = Backlog()
        self._jobs: dict[str, Job] = {}
        self._quarantine = Quarantine()
        self._load = Load()
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._look, name="waves-watch", daemon=True)
        self._endings: SimpleQueue[tuple[Work | Job, Outcome] | None] = SimpleQueue()
        self._doorman = threading.Thread(target=self._see_off, name="waves-doorman", daemon=True)
        self._doorman_listens = False
        self._first_start = threading.Lock()
        self._was_ready = False
        self._warnings: deque[str] = deque(maxlen=WARNINGS_KEPT)
        self._lanes = [
            Lane(
                index,
                self,
                task,
                timeout_s=timeout_s,
                warm_up=warm_up,
                memory_limit_mb=memory_limit_mb,
                low_priority=low_priority,
            )
            for index in range(1, lanes + 1)
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def queued(self) -> int:
        """How many jobs wait for a lane."""
        return len(self._waiting)

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The ids of the worker processes that are ready."""
        return tuple(lane.worker_pid for lane in self._lanes if lane.ready and lane.worker_pid)

    @property
    def failed_starts(self) -> int:
        """How often in a row every single lane failed to start a worker: 0 if one can."""
        return min(lane.failed_starts for lane in self._lanes)

    @property
    def has_room_for_backfill(self) -> bool:
        """Whether so few jobs wait that work without a visitor behind it may be added."""
        room = self.queued < max(1, self._quarter) and len(self._jobs) < self._capacity
        return self._open and room and not self._hindered_by

    def holds(self, path: str) -> bool:
        """Tell whether a job for `path` is waiting or running."""
        return path in self._jobs

    def is_quarantined(self, path: str) -> bool:
        """Tell whether `path` crashed two workers within a day and has not changed since."""
        return path in self._quarantine

    def quarantine(self, path: str, for_s: float) -> None:
        """Leave `path` alone for `for_s`, since it crashed two workers of an earlier pool."""
        if (crashed := identity(path)) is not None:
            self._quarantine.add(path, crashed, for_s)

    def start(self) -> None:
        """Start the lanes; jobs are accepted from now on and run as soon as a worker is ready."""
        self._doorman.start()
        self._open = self._doorman_listens = True
        self.note()
        for lane in self._lanes:
            lane.start()
        self._watch.start()

    def submit(self, work: Work, *, live: bool = True) -> bool:
        """Accept or refuse one job; return at once.

        A path that is already waiting or running is not done twice: the second `work` ends with the
        first. Live jobs go before backfill jobs, and into a full queue in the place of one. Returns
        whether the job was accepted; `work.end` is called exactly once either way, later and on
        another thread; before `start` and after `stop` at once, on this one.
        """
        with self._changed:
            job = self._jobs.get(work.path)
            if not self._open:
                refusal = Outcome("stopped", "the pool is not running")
            elif job is not None:
                job.works.append(work)
                if live:
                    self._waiting.promote(job)
                return True
            elif len(self._jobs) >= self._capacity and not (live and self._displace()):
                self._load.refuse()
                refusal = Outcome(
                    "queue_full", f"{self._capacity} utterances are already waiting or running"
                )
            else:
                job = Job(work.path, [work], live, monotonic())
                self._waiting.put(job)
                self._jobs[work.path] = job
                self._changed.notify()
                return True
            if self._doorman_listens:
                self._endings.put((work, refusal))
                return False
        _end(work, refusal)
        return False

    def stop(self, limit_s: float = 3.0) -> int:
        """Refuse new jobs, let running ones end within `limit_s`, kill the rest; count the losses.

        Every accepted job has ended when this returns, after at most `limit_s` + `KILL_LIMIT_S`,
        and been told of, unless telling takes as long as `KILL_LIMIT_S` once more.
        """
        with self._changed:
            if not self._open:
                self._changed.wait_for(lambda: not self._jobs, limit_s + KILL_LIMIT_S)
                return 0
            self._open = False
            self._stopped.set()
            dropped = self._waiting.clear()
            busy = [lane for lane in self._lanes if lane.job is not None]
            self._changed.notify_all()
        for lane in self._lanes:
            if lane not in busy:
                lane.end()
        for job in dropped:
            self.finish(job, job.outcome("stopped", "the host stopped before the job began"))
        self._wait_for_jobs(monotonic() + limit_s)
        killed = sum(lane.job is not None for lane in busy)
        for lane in self._lanes:
            lane.end()
        deadline = monotonic() + KILL_LIMIT_S
        for lane in self._lanes:
            _join(lane, max(0.0, deadline - monotonic()))
        for job in list(self._jobs.values()):
            self.finish(job, job.outcome("stopped", "the host stopped before the job was done"))
        with self._changed:
            self._doorman_listens = False
            self._endings.put(None)
        _join(self._doorman, KILL_LIMIT_S)
        _join(self._watch, KILL_LIMIT_S)
        if dropped or killed:
            log.warning("jobs were dropped at stop", waiting=len(dropped), running=killed)
        return len(dropped) + killed

    def take(self, lane: Lane, timeout_s: float) -> Job | None:
        """Give `lane` the next job, None if none came in time, or if none should begin now."""
        hindered = self._is_hindered()
        with self._changed:
            self._changed.wait_for(
                lambda: (self._waiting.first(monotonic()) and not hindered) or not self._open,
                timeout_s,
            )
            if not self._open:
                lane.end()  # it was busy when the others were ended
            job = self._waiting.pop(monotonic()) if self._open and not hindered else None
            lane.job = job
        if job is not None and self.is_quarantined(job.path):
            lane.job = None
            self.finish(
                job,
                job.outcome(
                    "quarantined",
                    "this file crashed two workers; it is tried again when it changes, or in a day",
                ),
            )
            return None
        return job

    def give_back(self, job: Job) -> None:
        """Put a job first in the queue again."""
        with self._changed:
            if self._open:
                self._waiting.put_first(job)
                self._changed.notify()
                return
        self.finish(job, job.outcome("stopped", "the host stopped before the job was done"))

    def finish(self, job: Job, outcome: Outcome) -> None:
        """End a job, once."""
        poison = identity(job.path) if outcome.reason == "crashed" else None
        if poison is not None:
            log.warning(
                "a file crashed two workers and is set aside",
                path=job.path,
                how=outcome.message,
                what_to_do="replace or remove it; it is tried again when it changes, in a day, or "
                "with a new version of this program",
            )
        with self._changed:
            if job.ended or self._jobs.get(job.path) is not job:
                return
            job.ended = True
            if poison is not None:
                self._quarantine.add(job.path, poison)
            if not outcome.reason and job.attempted_at is not None:
                self._load.finish(monotonic() - job.attempted_at, job.size)
            if self._doorman_listens:
                self._endings.put((job, outcome))
                return
        self._tell(job, outcome)

    def pass_on(self, note: Note) -> None:
        """Log what a worker says; a warning that every worker has to give comes once."""
        if note.level < logging.WARNING:
            log.info(note.message)
        elif note.message not in self._warnings:
            self._warnings.append(note.message)
            log.warning(note.message)

    def prepare(self, given_up: threading.Event, *, died: bool) -> None:
        """Prepare for a worker; what goes wrong is logged, and the worker starts all the same."""
        try:
            self._prepare(self._show_preparing, given_up, died)
        except Exception:
            log.exception("the workers could not be prepared")
        finally:
            self._show_preparing("")

    def _show_preparing(self, reason: str) -> None:
        if reason:
            log.info(reason)
        self._preparing = reason
        self.note()

    @contextmanager
    def starting(self) -> Iterator[bool]:
        """Let one lane prepare and warm up alone first.

        Only that one is told so, and sweeps: the next would sweep away what the first publishes.
        """
        with nullcontext() if self._was_ready else self._first_start:
            yield not self._was_ready
            self._was_ready = self._was_ready or any(lane.ready for lane in self._lanes)

    def note(self) -> None:
        """Work the pool's state out again and tell it if it changed."""
        with self._changed:
            state: tuple[State, str] = ("ok", "")
            if problems := "; ".join(self._problems()):
                state = ("degraded", problems)
            elif not any(lane.ready for lane in self._lanes):
                state = ("warming", self._preparing or "the workers are starting")
            elif aside := len(self._quarantine):
                state = ("ok", f"{aside} set aside after crashing two workers each: see the log")
            if state == self._state or not self._open:
                return
            self._state = state
            try:
                if self._on_state is not None:
                    self._on_state(*state)
            except Exception:
                log.exception("the state of the pool could not be reported", state=state)

    def _problems(self) -> Iterator[str]:
        """Say what is wrong, in words with the number."""
        if down := [lane for lane in self._lanes if lane.failed_starts]:
            yield f"{len(down)} of {len(self._lanes)} workers cannot start: {down[0].problem}"
        if self._hindered_by:
            yield self._hindered_by
        if self.queued and len(self._jobs) >= self._capacity:
            yield f"{self.queued} wait, the queue is full"
        if refused := self._load.refused:
            yield f"{refused} were refused in the last minute"
        running = [(lane.job, lane.job.attempted_at) for lane in self._lanes if lane.job]
        limits = [
            limit_s
            for job, since in running
            if since is not None and monotonic() - since > (limit_s := self._load.slow_s(job.size))
        ]
        if limits:
            yield (
                f"{len(limits)} of {len(self._lanes)} workers take more than {limits[0]:.0f} s for "
                f"a job, {SLOW_FACTOR} times the usual"
            )

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            try:
                self.note()
            except Exception:
                log.exception("the state of the pool could not be worked out")

    def _is_hindered(self) -> bool:
        try:
            hindered_by = self._hindrance()
        except Exception as error:  # noqa: BLE001 - nobody can tell, so jobs begin; warned of once
            hindered_by = ""
            self.pass_on(Note(logging.WARNING, f"jobs begin unchecked: {error!r}"))
        if hindered_by != self._hindered_by:
            self._hindered_by = hindered_by
            self.note()
        return bool(hindered_by)

    def _displace(self) -> bool:
        """Turn the last backfill job away, if one waits and the doorman can tell its owner."""
        job = self._waiting.displace() if self._doorman_listens else None
        if job is None:
            return False
        del self._jobs[job.path]
        refusal = job.outcome("queue_full", "a live utterance took its place")
        for work in job.works:
            self._endings.put((work, refusal))
        return True

    def _wait_for_jobs(self, deadline: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._jobs, max(0.0, deadline - monotonic()))

    def _see_off(self) -> None:
        while (ending := self._endings.get()) is not None:
            try:
                self._tell(*ending)
            except Exception:
                log.exception("the end of a job could not be told; it is told once more")
                with suppress(Exception):
                    self._tell(*ending)

    def _tell(self, ended: Work | Job, outcome: Outcome) -> None:
        """Tell everyone who asked for it; who asks for the same file meanwhile is told as well."""
        if not isinstance(ended, Job):
            _end(ended, outcome)
            return
        while works := self._askers(ended):
            for work in works:
                _end(work, outcome)

    def _askers(self, job: Job) -> list[Work]:
        """Take those who are to be told; when there are none left, the job is gone."""
        with self._changed:
            works, job.works = job.works, []
            if not works:
                del self._jobs[job.path]
                if not self._open:
                    self._changed.notify_all()
            return works


def _join(thread: threading.Thread, limit_s: float) -> None:
    """Wait for a thread, if it was started: Ctrl-C may have come within `Pool.start`."""
    with suppress(RuntimeError):
        thread.join(limit_s)


def _end(work: Work, outcome: Outcome) -> None:
    try:
        work.end(outcome)
    except (Exception, SystemExit):
        log.exception("the end of a job could not be told", path=work.path, reason=outcome.reason)
