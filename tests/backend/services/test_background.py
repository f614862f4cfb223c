"""An event loop on a thread of its own: how its calls end."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from backend.services.background import Background, StoppedError
from tests.patience import LIMIT_S, SOON_S


def test_a_loop_that_was_never_used_closes() -> None:
    """An engine that never spoke has no thread, and closing it twice does nothing."""

    async def end() -> None:
        raise AssertionError

    background = Background("unused", end)

    background.close()
    background.close()

    async def nothing() -> None:
        return None

    with pytest.raises(StoppedError):
        background.run(nothing)


def test_closing_does_not_wait_for_a_thread_of_the_loop() -> None:
    """A lookup of a host name cannot be cancelled: closing leaves it and ends the request."""
    begun, release = threading.Event(), threading.Event()

    def look_up() -> None:
        begun.set()
        release.wait(2 * SOON_S)

    async def ask() -> None:
        await asyncio.to_thread(look_up)

    async def end() -> None:
        return None

    background = Background("lookup", end)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(background.run, ask)
        assert begun.wait(LIMIT_S)
        started = monotonic()

        background.close()

        assert monotonic() - started < SOON_S
        with pytest.raises(StoppedError):
            asking.result(SOON_S)
        release.set()
