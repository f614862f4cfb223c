"""Events handed over to a task."""

import asyncio

from structlog.testing import capture_logs

from backend.tracking import Relay
from tests.patience import LIMIT_S


async def test_items_are_handled_in_their_order() -> None:
    """However long one takes, the next one waits; at the end all have been handled."""
    handled: list[int] = []

    async def handle(item: int) -> None:
        for _ in range(3 - item):
            await asyncio.sleep(0)
        handled.append(item)

    relay = Relay(handle)
    async with relay.running():
        for item in (0, 1, 2):
            relay.put(item)
        assert [] == handled

    assert [0, 1, 2] == handled


async def test_a_failure_is_logged_and_passed_over() -> None:
    """What one item raises does not keep the next from being handled."""
    handled: list[str] = []

    async def handle(item: str) -> None:
        if item == "bad":
            raise RuntimeError("no")
        handled.append(item)

    relay = Relay(handle)
    with capture_logs() as logs:
        async with relay.running():
            for item in ("bad", "good"):
                relay.put(item)

    assert ["good"] == handled
    assert ["an event could not be handled"] == [log["event"] for log in logs]


async def test_what_waits_is_bounded() -> None:
    """Beyond the limit items are dropped and counted; put never waits nor raises."""
    reached, opened = asyncio.Event(), asyncio.Event()
    handled: list[int] = []

    async def handle(item: int) -> None:
        reached.set()
        await opened.wait()
        handled.append(item)

    relay = Relay(handle, limit=2)
    with capture_logs() as logs:
        async with relay.running():
            relay.put(0)
            async with asyncio.timeout(LIMIT_S):
                await reached.wait()
            for item in (1, 2, 3, 4):
                relay.put(item)
            waiting = len(relay)
            opened.set()

    assert (2, 2) == (waiting, relay.dropped)
    assert [0, 1, 2] == handled
    assert [1, 2] == [log["dropped"] for log in logs]
