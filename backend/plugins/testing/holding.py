"""What a process holds: what a plugin has to give back when it stops."""

import gc
import os
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil

from backend.signals import defined

POOLS = ("speech", "AnyIO", "asyncio")
"""Bounded, they grow when they are asked, and keep their threads for the next time."""
LIMIT_S = 60.0
"""What stops may take so long on a busy machine."""


def child_pids() -> set[int]:
    """Return the processes that this one has started, and those that they have."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def held(known: Collection[int] = ()) -> dict[str, int]:
    """Return how many threads, processes, files and receivers there are, without those of pools.

    Child processes that are `known`, by their pids, are not counted.
    """
    gc.collect()
    me = psutil.Process()
    return {
        "threads": sum(not thread.name.startswith(POOLS) for thread in threading.enumerate()),
        "child processes": len(child_pids().difference(known)),
        "open files": getattr(me, "num_handles" if os.name == "nt" else "num_fds")(),
        "receivers": sum(len(signal.connections) for signal in defined()),
    }


def threads_that_stay(known: Collection[threading.Thread]) -> list[str]:
    """Return the names of the threads that are not `known` and do not end either.

    Those of the pools may stay. The threads are listed anew until none is left: one may have begun
    to start another, which can't be joined before it runs.
    """
    deadline = monotonic() + LIMIT_S
    while True:
        new = [thread for thread in threading.enumerate() if thread not in known]
        names = [thread.name for thread in new if not thread.name.startswith(POOLS)]
        if not names or monotonic() >= deadline:
            return names
        sleep(0.01)


_written: list[set[Path]] = []


@contextmanager
def files_written() -> Iterator[set[Path]]:
    """Note the files that any thread of this process opens for writing while the block runs."""
    _listen()
    paths: set[Path] = set()
    _written.append(paths)
    try:
        yield paths
    finally:
        _written.remove(paths)


@cache
def _listen() -> None:
    sys.addaudithook(_note)  # for good: a hook cannot be removed


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _written and event == "open":
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR) and not isinstance(path, int):
            absolute = Path(os.fsdecode(path)).absolute()
            if "__pycache__" not in absolute.parts:
                _written[-1].add(absolute)
