"""Ask the Linux kernel for short time slices, so that a thread runs sooner after it wakes.

The thread's share of the core stays the same. The event loop asks for it, to answer soon on a busy
machine, and the workers, so that nothing waits for the end of their slices. Linux 6.12 and later
heed it (sched_setattr(2)). Only the standard library is imported: a worker process imports this
module before numpy.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SHORTEST_NS = 100_000
"""The shortest that the kernel grants."""
SCHED_OTHER = 0  # <linux/sched.h>, as are the flag and the structure
SCHED_FLAG_RESET_ON_FORK = 0x01
SET, GET = 0, 1
SCHED_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}
"""System call numbers of sched_setattr and sched_getattr; glibc wraps them from 2.41 on."""


class _Attributes(ctypes.Structure):
    """`struct sched_attr`; `runtime` is the time slice in nanoseconds."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def shorten() -> None:
    """Ask for the shortest slices, for this thread and all that it starts."""
    attributes = _attributes()
    if attributes is not None:
        _set(attributes, SHORTEST_NS)


@contextmanager
def shortened() -> Iterator[None]:
    """Ask for the shortest slices for this thread alone, while the block runs.

    What it starts gets ordinary ones. RESET_ON_FORK would also reset a negative niceness, so where
    one is set nothing is done.
    """
    attributes = _attributes()
    if attributes is None or attributes.nice < 0:
        yield
        return
    attributes.flags |= SCHED_FLAG_RESET_ON_FORK
    before_ns = attributes.runtime
    _set(attributes, SHORTEST_NS)
    try:
        yield
    finally:
        _set(attributes, before_ns)


def _attributes() -> _Attributes | None:
    """Return how this thread is scheduled; None if it is not known or not SCHED_OTHER."""
    attributes = _Attributes()
    known = _call(GET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    return attributes if known and attributes.policy == SCHED_OTHER else None


def _set(attributes: _Attributes, slice_ns: int) -> None:
    """Ask for slices of that length; the kernel may refuse."""
    attributes.runtime = slice_ns
    _call(SET, ctypes.byref(attributes), 0)


def _call(which: int, *arguments: object) -> bool:
    """Make one of the two calls for this thread; return whether it exists and succeeded."""
    if sys.platform != "linux" or sys.maxsize < 2**32:  # a 32-bit program has other numbers
        return False
    numbers = SCHED_CALLS.get(os.uname().machine)
    return numbers is not None and ctypes.CDLL(None).syscall(numbers[which], 0, *arguments) == 0
