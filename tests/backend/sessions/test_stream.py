"""A session's stream: any number of readers, each at its own pace."""

import asyncio

import pytest

from backend.sessions import Event, SessionStart, TurnStart
from backend.sessions.stream import MAX_EVENTS, SessionStream
from backend.signals import EventPublished, event_published
from tests.patience import LIMIT_S


def turn(number: int) -> Event:
    return TurnStart(session_id="s", turn_index=number)


async def collect(stream: SessionStream, after: int = 0) -> list[tuple[int, Event]]:
    return [item async for item in stream.read(after)]


async def test_readers_see_the_same_events_whenever_they_come() -> None:
    """An early, a late and a very late reader read the same numbered events."""
    stream = SessionStream("s")
    early = asyncio.create_task(collect(stream))
    stream.publish(turn(1))
    await asyncio.sleep(0)
    late = asyncio.create_task(collect(stream))
    stream.publish(turn(2))
    stream.close()

    expected = [(1, turn(1)), (2, turn(2))]

    assert expected == await early == await late == await collect(stream)


async def test_a_reader_goes_on_after_the_event_it_names() -> None:
    """`after` skips what a reconnecting reader has seen."""
    stream = SessionStream("s")
    for number in (1, 2, 3):
        stream.publish(turn(number))
    stream.close()

    assert [(3, turn(3))] == await collect(stream, after=2)


async def test_a_reader_that_leaves_disturbs_nobody() -> None:
    """A cancelled reader changes nothing for the sender and the other reader."""
    stream = SessionStream("s")
    leaves, stays = (asyncio.create_task(collect(stream)) for _ in range(2))
    await asyncio.sleep(0)

    leaves.cancel()
    stream.publish(turn(1))
    stream.close()

    assert [(1, turn(1))] == await asyncio.wait_for(stays, LIMIT_S)


async def test_nothing_is_published_after_the_end() -> None:
    """A closed stream refuses events: `done` is the last one."""
    stream = SessionStream("s")
    stream.close()

    with pytest.raises(RuntimeError, match="after the end"):
        stream.publish(SessionStart(session_id="s"))


async def test_a_stream_is_bounded() -> None:
    """A session that runs wild does not fill the memory."""
    stream = SessionStream("s")
    for _ in range(MAX_EVENTS):
        stream.publish(turn(1))

    with pytest.raises(RuntimeError):
        stream.publish(turn(1))


async def test_what_is_published_is_told_to_subscribers() -> None:
    """Each event goes out as `event_published`, numbered, with the JSON a client sees."""
    heard: list[EventPublished] = []

    def receive(_: object, *, event: EventPublished) -> None:
        heard.append(event)

    stream = SessionStream("s")
    with event_published.connected_to(receive):
        stream.publish(turn(1))
        stream.publish(turn(2))

    assert [
        EventPublished("s", 1, "turn.start", '{"sessionId":"s","turnIndex":1}'),
        EventPublished("s", 2, "turn.start", '{"sessionId":"s","turnIndex":2}'),
    ] == heard
