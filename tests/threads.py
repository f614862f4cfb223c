"""Which threads something leaves behind."""

import threading
from collections.abc import Collection
from time import monotonic, sleep

from tests.patience import LIMIT_S

POOLS = ("speech", "AnyIO", "asyncio")
"""Bounded, they grow when they are asked, and keep their threads for the next time."""


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
