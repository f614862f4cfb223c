"""Which threads something leaves behind."""

import threading
from collections.abc import Collection
from time import monotonic, sleep

from tests.live import LIMIT_S


def threads_that_stay(known: Collection[threading.Thread], kept: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the threads that are not `known` and do not end either.

    Those whose name begins with one of `kept` may stay. The threads are listed anew until none is
    left: one may have begun to start another, which can't be joined before it runs.
    """
    deadline = monotonic() + LIMIT_S
    while True:
        new = [thread for thread in threading.enumerate() if thread not in known]
        names = [thread.name for thread in new if not thread.name.startswith(kept)]
        if not names or monotonic() >= deadline:
            return names
        sleep(0.01)
