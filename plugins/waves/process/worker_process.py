"""The parent's end of a worker process: start it, give it a task, kill and reap it.

A worker is one spawned process with two pipes, orders in and reports out, used until it fails and
then replaced as a whole. One thread starts it, waits for it and kills it, so no state is shared. A
task has three outcomes: a report, a death (the pipe or the process ends), no answer until the
deadline by the monotonic clock.

Rejected after it had been built: pebble 5.2 with one worker per pool. Its timeout counts the wall
clock (F18), sends SIGTERM and waits 3 s (F08, F09) and needs a lock that a dead worker may hold; it
misses exit code 0 (F04), and its `join` may wait for ever for the rest of a reply (F11).
"""

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pickle import PicklingError
from time import monotonic

from plugins.waves.process.worker_main import Note, Report, serve

CLOSE_LIMIT_S = 1.0
CHECK_S = 0.25

Task = Callable[..., Report]


CRASH_SIGNALS = {
    getattr(signal, name, None)
    for name in ("SIGSEGV", "SIGILL", "SIGABRT", "SIGFPE", "SIGBUS", "SIGTRAP", "SIGSYS")
}
"""Signals that a process causes by a fault of its own; another one was sent to it."""


class WorkerDiedError(Exception):
    """The worker ended, or sent what cannot be read; the message says how."""

    def __init__(self, how: str, *, from_outside: bool = False) -> None:
        """Keep whether that may pass: something else killed it, or the system had no room."""
        super().__init__(how)
        self.from_outside = from_outside


class WorkerTimeoutError(Exception):
    """The worker did not answer in time."""


class Worker:
    """One worker process, from its start to its end; used by one thread.

    `memory_limit_mb` may be 0: no limit. Once `cancelled` is set, `run` stops waiting. `on_note` is
    called for every line that the worker logs. Raises WorkerDiedError if it cannot be started.
    """

    def __init__(
        self,
        memory_limit_mb: int,
        cancelled: threading.Event,
        on_note: Callable[[Note], None],
        *,
        low_priority: bool = True,
    ) -> None:
        self._cancelled = cancelled
        self._on_note = on_note
        self._numbers = count()
        context = multiprocessing.get_context("spawn")
        try:
            orders, self._orders = context.Pipe(duplex=False)
            self._reports, reports = context.Pipe(duplex=False)
            _block_sigint()
            self._process = context.Process(
                target=serve,
                args=(orders, reports, os.getpid(), memory_limit_mb, low_priority),
                name="pool-worker",
                daemon=True,
            )
            self._process.start()
            orders.close()
            reports.close()
        except OSError as error:
            raise WorkerDiedError(f"could not be started: {error}", from_outside=True) from error
        atexit.register(self._process.kill)  # it ignores the SIGTERM that multiprocessing sends

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self._process.is_alive()

    def run(self, timeout_s: float, task: Task, *arguments: object) -> Report:
        """Run `task` in the worker and return its report.

        Raises WorkerTimeoutError if there was no report after `timeout_s`; the worker may
        still be busy. Raises WorkerDiedError if there will be no report.
        """
        deadline = monotonic() + timeout_s
        number = next(self._numbers)
        try:
            self._orders.send((number, task, arguments))
        except (AttributeError, PicklingError, TypeError) as error:
            return Report("error", f"the job cannot be sent to a worker: {error}")
        except OSError as error:
            raise self._death() from error
        while isinstance(answer := self._answer(number, deadline, timeout_s), Note):
            self._on_note(answer)
        return answer

    def _answer(self, number: int, deadline: float, timeout_s: float) -> Report | Note:
        """Wait for the next message of the worker about order `number`."""
        while not (ready := wait([self._reports, self._process.sentinel], self._wait_s(deadline))):
            if self._cancelled.is_set():
                raise WorkerDiedError("cancelled")
            if monotonic() >= deadline:
                raise WorkerTimeoutError(f"no answer within {timeout_s:g} s")
        if self._reports not in ready and not self._reports.poll():
            raise self._death()
        return self._receive(number, deadline)

    def discard(self) -> None:
        """Kill and reap the process, and close its pipes."""
        self._process.kill()
        self._process.join(CLOSE_LIMIT_S)
        atexit.unregister(self._process.kill)
        for end in (self._orders, self._reports):
            end.close()

    def how_it_ended(self) -> str:
        """Return the exit code or signal, in words that follow "the worker"."""
        self._process.join(CHECK_S if self._cancelled.is_set() else CLOSE_LIMIT_S)
        code = self._process.exitcode
        if code is None:
            return "its reply could not be read"
        if code >= 0:
            return f"exited with code {code}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

    def _death(self) -> WorkerDiedError:
        how, code = self.how_it_ended(), self._process.exitcode
        killed = code is not None and code < 0 and -code not in CRASH_SIGNALS
        return WorkerDiedError(how, from_outside=killed)

    def _wait_s(self, deadline: float) -> float:
        return max(0.0, min(CHECK_S, deadline - monotonic()))

    def _receive(self, number: int, deadline: float) -> Report | Note:
        """Read the report of order `number`; an incomplete one ends with the deadline."""
        killer = threading.Timer(max(0.0, deadline - monotonic()), self._process.kill)
        killer.start()
        try:
            replied, answer = self._reports.recv()
        except Exception as error:
            # Bytes from a broken process can raise anything while they are unpickled.
            if monotonic() >= deadline:  # the timer killed it
                raise WorkerDiedError("its reply was incomplete at the deadline") from error
            raise self._death() from error
        finally:
            killer.cancel()
        if replied != number or not isinstance(answer, Report | Note):
            raise WorkerDiedError("its reply could not be read")
        return answer


def _block_sigint() -> None:
    """Block SIGINT in this thread, so that a worker ignores Ctrl-C even while it starts.

    The resource tracker is started before, since starting it unblocks SIGINT again.
    """
    if os.name == "posix":
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
