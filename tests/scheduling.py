"""The time slice of a thread as the kernel tells it: a probe that knows nothing of the code."""

import ctypes
import os
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

_SCHED_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}
"""Numbers of sched_setattr(2) and sched_getattr(2)."""
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")


def _calls() -> tuple[int, int] | None:
    return _SCHED_CALLS.get(os.uname().machine) if sys.platform == "linux" else None


def of_this_thread() -> int | None:
    """Return the time slice of this thread, None where the kernel does not say."""
    calls = _calls()
    if calls is None:
        return None
    answer = ctypes.create_string_buffer(_SCHED_ATTR.size)
    failed = ctypes.CDLL(None).syscall(calls[1], 0, answer, _SCHED_ATTR.size, 0)
    return None if failed else int(_SCHED_ATTR.unpack(answer.raw)[5])


def shortest_granted() -> int | None:
    """Return what this machine makes of a wish for the shortest slices."""
    calls = _calls()
    if calls is None:
        return None

    def ask() -> int | None:  # on a thread that ends, since the wish is for the thread that asks
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        wish = _SCHED_ATTR.pack(_SCHED_ATTR.size, 0, 0, nice, 0, 100_000, 0, 0)
        ctypes.CDLL(None).syscall(calls[0], 0, wish, 0)
        return of_this_thread()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()
