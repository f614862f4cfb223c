"""A session's stream: bounded, and sent to subscribers."""

import pytest

from backend.sessions import Event, SessionStart, TurnStart
from backend.sessions.stream import MAX_EVENTS, SessionStream
from backend.signals import EventPublished, event_published


def turn(number: int) -> Event:
    return TurnStart(session_id="s", turn_index=number)


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
