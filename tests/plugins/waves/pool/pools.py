"""Pools for tests, jobs to ask them for, and what is waited for."""

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from plugins.waves.pool import Outcome, Pool
from tests.patience import LIMIT_S, until
from tests.plugins.waves.pool import tasks as jobs


class Asked:
    """One job for the pool, and what became of it."""

    def __init__(self, path: object, *payload: object) -> None:
        self.path = str(path)
        self.payload: object = payload
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.outcomes: list[Outcome] = []

    def begin(self, queued_ms: float) -> object:
        assert queued_ms >= 0
        self.begun.set()
        return self.payload

    def end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.ended.set()

    def outcome(self, limit_s: float = LIMIT_S) -> Outcome:
        """Wait for the one outcome."""
        assert self.ended.wait(limit_s), f"{self.path} did not end"
        (outcome,) = self.outcomes
        return outcome

    def value(self) -> object:
        """Wait for success; return what the job returned."""
        outcome = self.outcome()
        assert (outcome.reason, outcome.message) == ("", "")
        return outcome.report.data["value"]


class Gate:
    """A FIFO between a test and a job in a child process; either side may write a line."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def open(self) -> None:
        """Let the job that waits go on."""
        os.write(self._descriptor, b"go\n")

    def line(self, limit_s: float = LIMIT_S) -> str:
        """Wait for a line from a job."""
        assert select.select([self._descriptor], [], [], limit_s)[0], "nothing was told"
        return os.read(self._descriptor, 4096).decode().strip()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


GateMaker = Callable[[str], Gate]
"""Makes one by its name; the fixture `gate` is one of these."""


@contextmanager
def running(lanes: int = 1, task: Any = jobs.work, **options: Any) -> Iterator[Pool]:
    """Run a pool on the catalogue of jobs."""
    given: dict[str, Any] = {
        "queue_max_size": 20,
        "timeout_s": LIMIT_S,
        "warm_up": jobs.warm_up,
    } | options
    pool = Pool(task, lanes=lanes, **given)
    pool.start()
    try:
        yield pool
    finally:
        pool.stop(0)


def all_ready(pool: Pool, lanes: int) -> tuple[int, ...]:
    """Wait until every lane has a worker; return their ids."""
    until(lambda: len(pool.worker_pids) == lanes, "the workers are there")
    return pool.worker_pids


def wait_until_gone(pid: int, limit_s: float) -> bool:
    """Wait for the end of a process that need not be our child; tell whether it came in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], limit_s)[0])
    finally:
        os.close(descriptor)


def pids_of_workers(pid: int) -> list[int]:
    """Return the worker processes of `pid`, without multiprocessing's resource tracker."""
    found = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in listing.read_text().split():
                with suppress(OSError):
                    if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                        found.append(int(child))
    return found
