"""The dialect full: every event of every session's stream beside the messages of the waves."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.signals import EventPublished, emit, event_published
from tests.live import Data, LiveServer, chat
from tests.plugins.show.listening import Listener, hub_of, of_sessions, on_loop, simulating
from tests.simulated import play

MANY = 4000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the artifacts root."""
    return tmp_path


@pytest.fixture
def server(root: Path) -> Iterator[LiveServer]:
    """Return a server on whose bus the test sends signals."""
    with simulating(root, seed=1) as live:
        yield live


def publish(server: LiveServer, count: int, session_id: str = "many") -> None:
    """Send `count` events of a stream, in steps that a client can follow."""

    def some(first: int, last: int) -> None:
        for number in range(first, last):
            data = json.dumps({"sessionId": session_id, "number": number})
            emit(event_published, None, EventPublished(session_id, number, "slot.start", data))

    for first in range(1, count + 1, 50):
        on_loop(server, lambda a=first: some(a, min(a + 50, count + 1)))  # type: ignore[misc]  # bound


def numbers(events: list[Data]) -> list[int]:
    """Return the numbers of events in their streams."""
    return [event["payload"]["number"] for event in events]


def test_a_session_is_told_as_its_stream_tells_it(server: LiveServer) -> None:
    """Name and data of each event are those of the visitor's stream; the waves' messages follow."""
    with Listener(server, dialect="full") as listener, Listener(server) as standard:
        told = chat(server, 1, 2)
        events = listener.events("done")
        expected = standard.take(1)

    stream = [(event["type"], event["payload"]) for event in events if "waves" not in event["type"]]
    assert ("session.expected", 1) == (expected[0]["type"], expected[0]["seq"])
    assert expected[0]["payload"] in [payload for _, payload in stream]
    assert told == [one for one in stream if one[0] != "session.expected"]
    assert {told[0][1]["sessionId"]} == {event["sessionId"] for event in events}
    assert list(range(1, len(events) + 1)) == [event["seq"] for event in events]
    assert {events[0].keys() == expected[0].keys()} == {True}


def test_what_is_standard_is_full_too(server: LiveServer, root: Path) -> None:
    """Messages of waves are in both dialects, in one order and with the same payload."""
    with Listener(server, dialect="full") as full, Listener(server) as standard:
        publish(server, 3)
        on_loop(server, lambda: play("one", root))
        everything, plain = full.events(), standard.events()

    assert [(one["type"], one["payload"]) for one in plain] == [
        (one["type"], one["payload"]) for one in everything[3:]
    ]
    assert list(range(1, len(plain) + 1)) == [one["seq"] for one in plain]


def test_a_stream_displaces_no_message_of_waves(server: LiveServer, root: Path) -> None:
    """However many events there are, who asks for the standard ones gets all, without a gap."""
    hub = hub_of(server)
    with Listener(server) as listener:
        on_loop(server, lambda: play("one", root))
        first = listener.events()
    publish(server, MANY)

    with Listener(server, first[0]["cursor"]) as later:
        assert first[1:] == later.events()
    assert first[-1]["cursor"] == hub.rings["standard"].last


@pytest.fixture
def patient(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    """Return a server that drops no client."""
    monkeypatch.setenv("RR_SHOW_RING_SIZE", "10000")
    monkeypatch.setenv("RR_SHOW_CLIENT_QUEUE", "10000")
    with simulating(root) as live:
        yield live


def test_the_page_gets_each_event_once(patient: LiveServer) -> None:
    """The first hello has a cursor, later ones have none; over a drop cursors rise by one."""
    server = patient
    seen: list[Data] = []
    start = hub_of(server).rings["full"].last
    cursor = start

    def take(listener: Listener, until: int) -> None:
        nonlocal cursor
        while cursor < start + until:
            for event in of_sessions([listener.next()]):
                cursor = event["cursor"]
                seen.append(event)
                if len(seen) % 20 == 0:
                    listener.say(json.dumps({"type": "hello"}))

    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publish, server, MANY)
        with Listener(server, cursor, dialect="full", close_timeout=0.1) as listener:
            take(listener, MANY // 2)
        with Listener(server, cursor, dialect="full", close_timeout=0.1) as listener:
            take(listener, MANY)
        publishing.result()

    assert list(range(1, MANY + 1)) == numbers(seen)
    assert list(range(start + 1, start + MANY + 1)) == [event["cursor"] for event in seen]


def test_a_hello_with_nothing_new_is_answered_alone(server: LiveServer) -> None:
    """Who has had everything gets an answer and no event."""
    publish(server, 1000)
    last = hub_of(server).rings["full"].last

    with Listener(server, last, dialect="full") as listener:
        for _ in range(3):
            listener.say(json.dumps({"type": "hello", "cursor": last}))
            ack = listener.next()
            assert ("hello.ack", 0, last) == (
                ack["type"],
                ack["payload"]["replayed"],
                ack["cursor"],
            )
