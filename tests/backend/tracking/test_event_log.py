"""An event log: any number of readers, each at its own pace."""

import asyncio

import anyio
import pytest

from backend.tracking import EventLog
from tests.patience import LIMIT_S


async def read(
    log: EventLog[str], after: int = 0, stopping: anyio.Event | None = None
) -> list[tuple[int, str]]:
    async with asyncio.timeout(LIMIT_S):
        return [item async for item in log.read(after, stopping)]


def numbered(*events: str) -> list[tuple[int, str]]:
    return list(enumerate(events, start=1))


async def test_readers_see_the_same_events_whenever_they_come() -> None:
    """An early, a late and a very late reader read the same numbered events."""
    log = EventLog[str]()
    early = asyncio.create_task(read(log))
    log.append("first")
    await asyncio.sleep(0)  # the early reader runs now, and waits
    late = asyncio.create_task(read(log))
    log.append("second")
    log.close()

    assert numbered("first", "second") == await early == await late == await read(log)


async def test_a_reader_goes_on_after_the_number_it_names() -> None:
    """`after` skips what a reconnecting reader has seen."""
    log = EventLog[str]()
    for name in ("first", "second", "third"):
        log.append(name)
    log.close()

    assert numbered("first", "second", "third")[2:] == await read(log, after=2)


async def test_a_reader_that_leaves_disturbs_nobody() -> None:
    """A cancelled reader changes nothing for the writer and the other reader."""
    log = EventLog[str]()
    leaves, stays = (asyncio.create_task(read(log)) for _ in range(2))
    await asyncio.sleep(0)

    leaves.cancel()
    log.append("first")
    log.close()

    assert numbered("first") == await stays


async def test_nothing_follows_the_end() -> None:
    """A closed log refuses events, so that a number means one event for ever."""
    log = EventLog[str]()
    log.append("done")
    log.close()

    with pytest.raises(RuntimeError, match="after the end"):
        log.append("late")

    assert numbered("done") == await read(log)


async def test_a_stop_waits_for_done_and_not_for_waves() -> None:
    """While the server stops a reader gets all up to `done` and then ends, though waves are due."""
    log, stopping = EventLog[str](), anyio.Event()
    stopping.set()
    reading = asyncio.ensure_future(read(log, 0, stopping))
    log.append("turn.done")
    await asyncio.sleep(0)  # the reader runs now, and waits
    log.append("done")
    log.finished = True

    assert numbered("turn.done", "done") == await reading


async def test_a_stop_ends_a_reader_that_waits_for_waves() -> None:
    """A reader that has seen `done` ends when the stop begins, though waves are due."""
    log, stopping = EventLog[str](), anyio.Event()
    log.append("done")
    log.finished = True
    reading = asyncio.ensure_future(read(log, 0, stopping))
    await asyncio.sleep(0)  # the reader runs now, and waits
    waited = not reading.done()
    stopping.set()

    assert numbered("done") == await reading
    assert waited
