"""How long a thread may compute before the kernel looks who else wants its core: its time slice.

With a short one a thread gets a core sooner when it wakes, and gives it up sooner when others do;
its share of the core stays what it was. So two kinds of threads here ask for the shortest: the one
that runs the event loop, to answer at once however busy the machine is, and the workers, so that
nobody waits for one of their slices to end. Heeded by Linux 6.12 and later (sched_setattr(2)).

Only the standard library is imported here: a worker reads this module before it may import numpy.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SHORTEST_NS = 100_000
"""A tenth of a millisecond: the kernel grants nothing shorter."""
SCHED_OTHER = 0  # <linux/sched.h>, as are the flag and the structure
SCHED_FLAG_RESET_ON_FORK = 0x01
SET, GET = 0, 1
SCHED_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}
"""Numbers of sched_setattr and sched_getattr by machine; glibc has names for them from 2.41 on."""


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
    """Ask for the shortest slices, for this thread and all that it will start."""
    attributes = _attributes()
    if attributes is not None:
        _set(attributes, SHORTEST_NS)


@contextmanager
def shortened() -> Iterator[None]:
    """Ask for the shortest slices for this thread alone, while the block runs.

    What it starts gets ordinary ones: to be served before its own children is the point. The kernel
    would take a negative niceness from these as well, so where somebody has set one, it is enough.
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
    """Return how this thread is scheduled; None if nobody knows, or if it is not as usual."""
    attributes = _Attributes()
    known = _call(GET, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    return attributes if known and attributes.policy == SCHED_OTHER else None


def _set(attributes: _Attributes, slice_ns: int) -> None:
    """Wish for slices of that length; a kernel that refuses leaves things as they are."""
    attributes.runtime = slice_ns
    _call(SET, ctypes.byref(attributes), 0)


def _call(which: int, *arguments: object) -> bool:
    """Make one of the two calls for this thread; tell whether there is one and it succeeded."""
    if sys.platform != "linux" or sys.maxsize < 2**32:  # a 32-bit program has other numbers
        return False
    numbers = SCHED_CALLS.get(os.uname().machine)
    return numbers is not None and ctypes.CDLL(None).syscall(numbers[which], 0, *arguments) == 0
