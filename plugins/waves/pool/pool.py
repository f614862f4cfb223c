"""The bounded pool: accept jobs, hand them to lanes, recover, stop.

    submit(work) --> [ live ][ backfill ]     at most queue_max_size + lanes jobs, in order
        |                    | take()
        | refused            v
        |               lane thread 1..n: work.begin() --- task, payload -->  worker process 1..n
        |                    |                         <------ Report ------  (spawned)
        v                    v finish()
    callback thread: work.end(outcome), one after the other

`submit` is called on the event loop, so it opens no file, writes no log line and runs no callback:
it acquires a lock, appends and returns. A worker that dies or hangs costs its own lane a restart
and nothing else (see `lane.py`); a job whose worker died is tried again, and a file that crashes
two workers is quarantined until it changes, for a day. A thread computes the state every second,
also while every lane hangs. One thread runs all callbacks: a lane takes its next job while those of
the last one still run, and a slow disk there fills the queue instead of delaying a worker.

Rejected: concurrent.futures and loky (the death of an idle worker ends them for good, a hung worker
stays), pebble (see `worker_process.py`), an asyncio queue (the command line uses the pool too, and
a stop must not depend on a loop that is closing).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from time import monotonic
from typing import Self

import structlog

from plugins.waves.pool.job import Work
from plugins.waves.pool.job_table import JobTable
from plugins.waves.pool.lane import Lane, WorkerOptions
from plugins.waves.pool.quarantine import identity
from plugins.waves.pool.remote import Remote
from plugins.waves.pool.state import State, lasting_problem, state_of
from plugins.waves.process import Note, Report, Task

log = structlog.get_logger(__name__)

KILL_LIMIT_S = 1.5
"""What `stop` adds to its limit, at most, to reap what it had to kill."""
WARNINGS_KEPT = 100
UPDATE_EVERY_S = 1.0
"""Between two computations of the state."""

OnState = Callable[[State, str], None]


def no_warm_up(first: bool, replaced_pid: int | None) -> Report:  # noqa: ARG001 - the signature of a warm-up
    """Do nothing: the warm-up of a task that needs none."""
    return Report()


class Pool:
    """A bounded queue of jobs and a fixed number of worker processes.

    `task(payload) -> Report` and `warm_up(first, replaced_pid) -> Report` are functions of modules
    that a worker process calls: the former for each job, within `timeout_s`, the latter once at its
    start. `first` says whether none of the pool was ready before, and `replaced_pid` which process
    it replaces.

    `prepare(say, cancelled, died)` is called on a lane's thread before the first worker starts, and
    before one whose predecessor died at its start. While it runs the state is `warming` with the
    reason that it last passed to `say`; it ends soon after `cancelled` is set.

    `on_state(state, reason)` is called whenever the state changes: at first within `start`, then on
    a thread of the pool. `pause_reason()` is called on the lanes' threads about once a second: why
    no job should begin now, or nothing. Jobs wait meanwhile.

    `remote(jobs, update_state)` returns what does jobs on other machines; the workers here do them
    while it cannot.

    `reduce(payload, how)` is asked after a worker died or hung in a job, as `how` says: it returns
    what is sent in its place, or None where there is no less.
    """

    def __init__(
        self,
        task: Task,
        *,
        lanes: int,
        queue_max_size: int,
        timeout_s: float,
        warm_up: Task = no_warm_up,
        prepare: Callable[[Callable[[str], None], threading.Event, bool], None] | None = None,
        memory_limit_mb: int = 2048,
        low_priority: bool = True,
        on_state: OnState | None = None,
        pause_reason: Callable[[], str] = str,
        remote: Callable[[JobTable, Callable[[], None]], Remote] | None = None,
        reduce: Callable[[object, str], object | None] = lambda _payload, _how: None,
    ) -> None:
        self._quarter = queue_max_size / 4
        self._on_state = on_state
        self._ask_pause_reason = pause_reason
        self._pause_reason = ""
        self._prepare = prepare
        self._preparing = ""
        self._state: tuple[State, str] | None = None
        self._stopped = threading.Event()
        self._state_thread = threading.Thread(
            target=self._update_state_regularly, name="pool-state", daemon=True
        )
        self._jobs = JobTable(queue_max_size + lanes, self._is_paused)
        self._remote = remote(self._jobs, self.update_state) if remote else None
        self._first_start = threading.Lock()
        self._was_ready = False
        self._warnings: deque[str] = deque(maxlen=WARNINGS_KEPT)
        options = WorkerOptions(task, warm_up, timeout_s, memory_limit_mb, low_priority, reduce)
        self._lanes = [Lane(index, self._jobs, self, options) for index in range(1, lanes + 1)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def queued(self) -> int:
        """How many jobs wait for a lane."""
        return self._jobs.queued

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The ids of the worker processes that are ready."""
        return tuple(lane.worker_pid for lane in self._lanes if lane.ready and lane.worker_pid)

    @property
    def is_elsewhere(self) -> bool:
        """Whether other machines do the jobs now."""
        return self._remote is not None and self._remote.usable

    @property
    def failed_starts(self) -> int:
        """How often in a row every single lane failed to start a worker: 0 if one can."""
        return 0 if self.is_elsewhere else min(lane.failed_starts for lane in self._lanes)

    @property
    def has_room_for_backfill(self) -> bool:
        """Whether so few jobs wait that backfill jobs may be added."""
        room = self.queued < max(1, self._quarter) and not self._jobs.is_full
        return self._jobs.is_open and room and not (self._pause_reason or self._jobs.refusal)

    def holds(self, path: str) -> bool:
        """Return whether a job for `path` is waiting or running."""
        return path in self._jobs

    def is_quarantined(self, path: str) -> bool:
        """Return whether `path` crashed two workers within a day and has not changed since."""
        return path in self._jobs.quarantine

    def quarantine(self, path: str, for_s: float) -> None:
        """Refuse `path` for `for_s`, since it crashed two workers of an earlier pool."""
        if (crash_identity := identity(path)) is not None:
            self._jobs.quarantine.add(path, crash_identity, for_s)

    def start(self) -> None:
        """Start the lanes; jobs are accepted from now on and run as soon as a worker is ready."""
        self._jobs.open()
        self.update_state()
        for lane in self._lanes:
            lane.start()
        if self._remote is not None:
            self._remote.start()
        self._state_thread.start()

    def submit(self, work: Work, *, live: bool = True, here: bool = False) -> bool:
        """Accept or refuse one job; return at once.

        A path that is already waiting or running is not done twice: the second `work` ends with the
        first. Live jobs go before backfill jobs, and into a full queue in the place of one; those
        for this machine alone, `here`, go last. Returns whether the job was accepted; `work.end` is
        called exactly once either way, later and on another thread; before `start` and after `stop`
        at once, on this one.
        """
        return self._jobs.submit(work, live=live, here=here)

    def stop(self, limit_s: float = 3.0) -> int:
        """Refuse new jobs, let running ones end within `limit_s`, kill the rest; count the losses.

        Every accepted job has ended when this returns, after at most `limit_s` + `KILL_LIMIT_S`,
        and its callbacks have run, unless that takes longer than `KILL_LIMIT_S` once more.
        """
        dropped = self._jobs.close()
        if dropped is None:
            self._jobs.wait_until_empty(limit_s + KILL_LIMIT_S)
            return 0
        self._stopped.set()
        busy = [lane for lane in self._lanes if lane.job is not None]
        for lane in self._lanes:
            if lane not in busy:
                lane.end()
        if self._remote is not None:
            self._remote.end()
        for job in dropped:
            self._jobs.finish(job, job.outcome("stopped", "the host stopped before the job began"))
        self._jobs.wait_until_empty(limit_s)
        killed = [lane.job for lane in busy if lane.job is not None]
        killed += self._remote.held if self._remote else []
        for lane in self._lanes:
            lane.end()
        deadline = monotonic() + KILL_LIMIT_S
        for lane in self._lanes:
            _join(lane, max(0.0, deadline - monotonic()))
        if self._remote is not None:
            self._remote.join(max(0.1, deadline - monotonic()))
        self._jobs.finish_all(KILL_LIMIT_S)
        _join(self._state_thread, KILL_LIMIT_S)
        waiting, running = (sum(job.live for job in jobs) for jobs in (dropped, killed))
        if waiting or running:
            log.warning("jobs were dropped at stop", waiting=waiting, running=running)
        if later := len(dropped) + len(killed) - waiting - running:
            log.info("jobs of the backfill were not done; it finds them again", jobs=later)
        return len(dropped) + len(killed)

    def log_note(self, note: Note) -> None:
        """Log a line of a worker; a warning that every worker gives is logged once."""
        if note.level < logging.WARNING:
            log.info(note.message)
        elif note.message not in self._warnings:
            self._warnings.append(note.message)
            log.warning(note.message)

    def prepare(self, cancelled: threading.Event, *, died: bool) -> None:
        """Prepare for a worker; an error is logged, and the worker starts all the same."""
        if self._prepare is None:
            return
        try:
            self._prepare(self._show_preparing, cancelled, died)
        except Exception:
            log.exception("the workers could not be prepared")
        finally:
            self._show_preparing("")

    def _show_preparing(self, reason: str) -> None:
        if reason:
            log.info(reason)
        self._preparing = reason
        self.update_state()

    @contextmanager
    def starting(self) -> Iterator[bool]:
        """Let one lane prepare and warm up alone first.

        Only its warm-up gets `first`: what is done once for all workers is not done twice.
        """
        with nullcontext() if self._was_ready else self._first_start:
            yield not self._was_ready
            self._was_ready = self._was_ready or any(lane.ready for lane in self._lanes)

    def update_state(self) -> None:
        """Compute the state of the pool, and report it if it changed."""
        with self._jobs.changed:
            self._jobs.refuse("" if self.is_elsewhere else lasting_problem(self._lanes))
            state = self._state_now()
            if state == self._state or not self._jobs.is_open:
                return
            self._state = state
            try:
                if self._on_state is not None:
                    self._on_state(*state)
            except Exception:
                log.exception("the state of the pool could not be reported", state=state)

    def _state_now(self) -> tuple[State, str]:
        if self.is_elsewhere and not self._pause_reason:
            return "ok", ""
        problem = self._remote.problem if self._remote else ""
        return state_of(self._lanes, self._jobs, self._pause_reason or problem, self._preparing)

    def _update_state_regularly(self) -> None:
        while not self._stopped.wait(UPDATE_EVERY_S):
            try:
                self.update_state()
            except Exception:
                log.exception("the state of the pool could not be computed")

    def _is_paused(self) -> bool:
        try:
            reason = self._ask_pause_reason()
        except Exception as error:  # noqa: BLE001 - jobs begin; logged once
            reason = ""
            self.log_note(Note(logging.WARNING, f"jobs begin unchecked: {error!r}"))
        if reason != self._pause_reason:
            self._pause_reason = reason
            self.update_state()
        return bool(reason)


def _join(thread: threading.Thread, limit_s: float) -> None:
    """Wait for a thread, if it was started: Ctrl-C may have come within `Pool.start`."""
    with suppress(RuntimeError):
        thread.join(limit_s)
