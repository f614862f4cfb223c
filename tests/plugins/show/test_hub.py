"""Numbers, clients and what waits for them."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from plugins.show.hub import MAX_SESSIONS, Client, Hub
from plugins.show.messages import SessionExpected
from tests.live import Data
from tests.patience import LIMIT_S

NOW = datetime(2026, 11, 22, 18, 4, 5, tzinfo=UTC)
PAYLOAD = SessionExpected(slots=[1], turns=3, median_ready_ms=None)


def make(**changes: int) -> Hub:
    limits: dict[str, Any] = {"ring_size": 16, "client_queue": 4, "max_clients": 2, **changes}
    return Hub(heartbeat_s=5, now=lambda: NOW, **limits)


async def heard(client: Client, count: int) -> list[Data]:
    async with asyncio.timeout(LIMIT_S):
        return [json.loads(await client.next()) for _ in range(count)]


async def test_the_envelope_is_flat_and_numbered() -> None:
    """`seq` counts per session from 1, `cursor` over all from the server's start in ms."""
    hub = make()
    client = hub.connect()
    assert client is not None
    start = int(NOW.timestamp() * 1000)

    for session_id in ("a", "b", "a"):
        hub.publish(session_id, PAYLOAD)
    events = await heard(client, 3)

    assert [("a", 1, 1), ("b", 1, 2), ("a", 2, 3)] == [
        (event["sessionId"], event["seq"], event["cursor"] - start) for event in events
    ]
    assert {
        "v": 1,
        "type": "session.expected",
        "sessionId": "a",
        "seq": 1,
        "cursor": start + 1,
        "ts": "2026-11-22T18:04:05.000Z",
        "payload": {"slots": [1], "turns": 3, "medianReadyMs": None},
    } == events[0]


async def test_a_heartbeat_is_no_event() -> None:
    """It has the latest cursor and no number, and is not replayed."""
    hub = make()
    client = hub.connect()
    assert client is not None
    hub.publish("a", PAYLOAD)

    hub.heartbeat()
    event, beat = await heard(client, 2)

    assert (None, None, event["cursor"]) == (beat["sessionId"], beat["seq"], beat["cursor"])
    assert {"run": hub.run, "intervalS": 5} == beat["payload"]
    assert 1 == len(hub.rings["standard"].since(0).texts)


async def test_what_waits_is_replayed_once() -> None:
    """A hello after events have come sends them in order, none twice, the answer first."""
    hub = make()
    hub.publish("a", PAYLOAD)
    client = hub.connect()
    assert client is not None
    hub.publish("a", PAYLOAD)

    hub.greet(client, hub.rings["standard"].last - 2)
    hub.publish("a", PAYLOAD)
    messages = await heard(client, 4)

    assert ["hello.ack", 1, 2, 3] == [m["seq"] or m["type"] for m in messages]
    assert 2 == messages[0]["payload"]["replayed"]
    assert 0 == len(client)


async def test_hello_without_a_cursor_replays_nothing() -> None:
    """Its answer comes before what waited already, of which nothing is lost."""
    hub = make()
    hub.publish("a", PAYLOAD)
    client = hub.connect()
    assert client is not None
    hub.publish("a", PAYLOAD)

    hub.greet(client, None)

    assert ["hello.ack", 2] == [m["seq"] or m["type"] for m in await heard(client, 2)]


async def test_a_gap_is_told_before_what_is_left() -> None:
    """Who asks for more than there is hears of it, then gets the rest."""
    hub = make()
    for _ in range(20):
        hub.publish("a", PAYLOAD)
    client = hub.connect()
    assert client is not None

    hub.greet(client, hub.rings["standard"].last - 20)
    messages = await heard(client, 18)

    assert ["hello.ack", "replay.gap"] == [message["type"] for message in messages[:2]]
    assert {
        "asked": hub.rings["standard"].last - 20,
        "oldest": hub.rings["standard"].oldest,
    } == messages[1]["payload"]
    assert list(range(5, 21)) == [message["seq"] for message in messages[2:]]


async def test_a_slow_client_is_marked_and_nobody_else() -> None:
    """One for which too much waits keeps nothing; the other has everything."""
    hub = make()
    quick, slow = hub.connect(), hub.connect()
    assert quick is not None
    assert slow is not None
    got = []
    for _ in range(5):
        hub.publish("a", PAYLOAD)
        got += await heard(quick, 1)
    hub.publish("a", PAYLOAD)

    assert (False, True) == (quick.slow.is_set(), slow.slow.is_set())
    assert (1, 0) == (len(quick), len(slow))
    assert [1, 2, 3, 4, 5] == [event["seq"] for event in got]


async def test_clients_are_limited() -> None:
    """A further one gets nothing until another has gone."""
    hub = make()
    first, _ = hub.connect(), hub.connect()
    assert first is not None

    refused = hub.connect()
    hub.disconnect(first)

    assert refused is None
    assert hub.connect() is not None
    assert 2 == hub.clients


async def test_numbers_of_old_sessions_are_forgotten() -> None:
    """What is remembered of sessions is bounded; those heard of last stay."""
    hub = make()
    for number in range(MAX_SESSIONS + 3):
        hub.publish("kept", PAYLOAD)
        hub.publish(str(number), PAYLOAD)

    hub.publish("kept", PAYLOAD)

    assert MAX_SESSIONS == hub.sessions
    assert 16 == len(hub.rings["standard"])
    assert MAX_SESSIONS + 4 == json.loads(hub.rings["standard"].since(0).texts[-1])["seq"]
