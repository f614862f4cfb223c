"""How long a test waits for what has to come."""

import time
from collections.abc import Callable

LIMIT_S = 300.0
"""After this a wait has failed; the first start of a worker, at the lowest priority of a busy
machine, takes a good part of it."""
SOON_S = 20.0
"""Less than anything hangs that a test lets hang: what is over by then did not wait for its end."""


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition()` holds."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)
