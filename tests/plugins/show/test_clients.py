"""Many clients of one show, of which some are slow, rude or gone: nobody else notices."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed, InvalidStatus

from backend.http.connections import Connections
from plugins.show import connection
from plugins.show.connection import SUBPROTOCOL, TOO_SLOW
from plugins.show.messages import UtteranceFailed
from tests.live import LiveServer
from tests.patience import LIMIT_S, until
from tests.plugins.show.listening import Listener, hub_of, on_loop, simulating
from tests.simulated import play

TOKEN = "stone-and-water"
BULK = UtteranceFailed(
    turn_index=1,
    kind="response",
    slot_id=1,
    target_slot_id=None,
    agent_id="gpt-4o",
    voice_profile="calm_soothing",
    audio_path="/a",
    audio_url="http://a",
    reason="error",
    message="x" * 20_000,
    backfill=False,
)
"""An event large enough for a few hundred to fill every buffer on the way."""

BUFFERED = 150
"""More of them than buffers and queue hold; with the system's own buffers it would be hundreds."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def server(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    """Return a server on whose bus the test plays sessions; a dropped client may take its time."""
    monkeypatch.setenv("RR_SHOW_HEARTBEAT_S", "60")
    monkeypatch.setenv("RR_SHOW_CLIENT_QUEUE", "32")
    monkeypatch.setattr(connection, "CLOSE_LIMIT_S", 0.01)  # it is told all the same
    with simulating(root, connections=patient()) as live:
        yield live


def patient(close_s: float = LIMIT_S) -> Connections:
    """Return limits that wait long for a client that takes nothing until it is dropped."""
    return Connections(LIMIT_S, websocket_stalled_s=4 * LIMIT_S, websocket_close_s=close_s)


def flood(server: LiveServer, until_dropped: int, *witnesses: Listener) -> int:
    """Publish events, each read by all witnesses, until so many clients were dropped."""
    hub = hub_of(server)
    count = 0
    while hub.dropped < until_dropped and count < 2000:
        on_loop(server, lambda: hub.publish("flood", BULK))
        count += 1
        for witness in witnesses:
            assert count == witness.take(1)[0]["seq"]
    assert until_dropped == hub.dropped
    return count


@pytest.mark.faults
def test_a_second_client_stays_when_the_first_goes(server: LiveServer, root: Path) -> None:
    """F31: a second client connects, the first closes, and the second goes on hearing all."""
    with Listener(server) as second:
        with Listener(server) as first:
            on_loop(server, lambda: play("one", root))
            heard = first.events()
        on_loop(server, lambda: play("two", root))

        assert heard == second.events()
        assert {"two"} == {event["sessionId"] for event in second.events()}


@pytest.mark.e2e
@pytest.mark.faults
def test_a_client_that_stops_reading_is_dropped(server: LiveServer) -> None:
    """F31: it gets what was under way and then code 4002; the other has every event."""
    with Listener(server) as other, Listener(server, stalled=True) as slow:
        sent = flood(server, 1, other)

        seqs = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                seqs += [event["seq"] for event in slow.take(1)]
        on_loop(server, lambda: hub_of(server).publish("flood", BULK))

        assert closed.value.rcvd is not None
        assert (TOO_SLOW, "too slow") == (closed.value.rcvd.code, closed.value.rcvd.reason)
        assert list(range(1, len(seqs) + 1)) == seqs
        assert 0 < len(seqs) < sent < BUFFERED
        assert sent + 1 == other.take(1)[0]["seq"]
        assert 1 == hub_of(server).clients


@pytest.mark.faults
def test_a_client_that_never_reads_again_is_cut(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F31: its connection is gone soon after it was dropped, whatever it still owes."""
    monkeypatch.setenv("RR_SHOW_CLIENT_QUEUE", "32")
    with (
        simulating(root, connections=patient(close_s=0.05)) as live,
        Listener(live) as other,
        Listener(live, stalled=True),
    ):
        flood(live, 1, other)

        until(lambda: live.connections == 1, "the connection is cut")

        assert 1 == hub_of(live).clients


@pytest.mark.faults
def test_a_stalled_client_does_not_hold_up_the_stop(root: Path) -> None:
    """F31: the server stops although a client has stopped reading and is not yet dropped."""
    with simulating(root, connections=patient()) as live:
        hub = hub_of(live)
        with Listener(live, stalled=True):
            for _ in range(100):
                on_loop(live, lambda: hub.publish("flood", BULK))
            assert 0 == hub.dropped
            live.__exit__()

    assert 0 == hub.clients


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.parametrize("message", ["x" * 20_000_000, b"x" * 20_000_000], ids=["text", "binary"])
def test_a_message_of_20_mb_harms_nobody(
    message: str | bytes, server: LiveServer, root: Path
) -> None:
    """F31: whoever sends it is cut; the second client and its order stay."""
    with Listener(server) as second:
        with Listener(server) as rude, pytest.raises((ConnectionClosed, OSError)):
            rude.say(message)
            while True:
                rude.next()
        on_loop(server, lambda: play("one", root))

        assert list(range(1, 14)) == [event["seq"] for event in second.events()]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "hello",
        "null",
        "[]",
        "{}",
        '{"type": "hello", "cursor": -1}',
        '{"type": "hello", "cursor": "1"}',
        '{"type": "hello", "cursor": 1e400}',
        '{"type": "hello", "payload": {"cursor": []}}',
        "[" * 4000,
        '{"type": "hello", "pad": "' + "x" * 10_000 + '"}',
        b"\x00\xff",
    ],
    ids=range(12),
)
def test_garbage_is_refused(said: str | bytes, server: LiveServer) -> None:
    """What is no hello is told so and does no harm: a later hello is answered."""
    on_loop(server, lambda: hub_of(server).publish("s", BULK))
    with Listener(server, silent=True) as rude:
        rude.say(said)
        refused = rude.next()
        assert ("hello.refused", None) == (refused["type"], refused["sessionId"])
        assert 'a hello is {"type": "hello"}' in refused["payload"]["reason"]
        rude.say('{"type": "hello", "payload": {"cursor": 0}}')
        answer = rude.next()

        assert ("hello.ack", 1) == (answer["type"], answer["payload"]["replayed"])
        assert 0 == answer["payload"]["restored"]  # what callbacks printed by version 0.1 read


def test_a_wrong_cursor_is_named(server: LiveServer) -> None:
    """The refusal says what is wrong with it; a message of another type is not answered."""
    with Listener(server, silent=True) as listener:
        listener.say('{"type": "ping"}')
        listener.say('{"type": "hello", "cursor": "1"}')

        reason = listener.next()["payload"]["reason"]

    assert reason.startswith("cursor: Input should be a valid integer")


def test_an_unknown_dialect_is_refused(server: LiveServer) -> None:
    """The connection is closed with the dialects that there are."""
    with (
        pytest.raises(ConnectionClosed) as closed,
        Listener(server, silent=True, dialect="klingon") as listener,
    ):
        listener.next()

    assert closed.value.rcvd is not None
    assert 1008 == closed.value.rcvd.code
    assert "standard, original, full" in closed.value.rcvd.reason


def test_a_client_may_ask_again_and_again(server: LiveServer, root: Path) -> None:
    """Each hello is answered by what came after its cursor."""
    on_loop(server, lambda: play("one", root))
    with Listener(server, 0) as listener:
        first = listener.events()
        listener.say(json.dumps({"type": "hello", "cursor": first[4]["cursor"]}))

        assert first[5:] == listener.events()


@pytest.mark.parametrize("replays", [False, True])
def test_a_second_hello_leaves_the_replay_whole(server: LiveServer, replays: bool) -> None:
    """It is answered once all of the first answer has been sent."""
    hub = hub_of(server)
    start, count = hub.rings["standard"].last, 60
    for _ in range(count):
        on_loop(server, lambda: hub.publish("past", BULK))
    with Listener(server, silent=True, stalled=True) as listener:
        for cursor in (start, start if replays else None):
            listener.say(json.dumps({"type": "hello", "cursor": cursor}))
        first = [listener.next() for _ in range(1 + count)]
        second = [listener.next() for _ in range(1 + count if replays else 1)]
        on_loop(server, lambda: hub.publish("now", BULK))

        assert "now" == listener.next()["sessionId"]
    past = list(range(1, count + 1))
    assert ["hello.ack", *past] == [message["seq"] or message["type"] for message in first]
    assert first[1:] == second[1:] or not replays
    assert "hello.ack" == second[0]["type"]


@pytest.mark.e2e
def test_twenty_clients_of_which_five_are_slow(server: LiveServer, root: Path) -> None:
    """Fifteen hear every event in order; five that do not read are dropped, each alone."""
    with ExitStack() as stack:
        quick = [stack.enter_context(Listener(server)) for _ in range(15)]
        for _ in range(5):
            stack.enter_context(Listener(server, stalled=True))
        assert 20 == hub_of(server).clients

        flood(server, 5, *quick)
        on_loop(server, lambda: play("one", root))
        heard = [listener.events() for listener in quick]

        assert 15 == hub_of(server).clients
    assert [heard[0]] * 15 == heard
    assert list(range(1, 14)) == [event["seq"] for event in heard[0]]


def test_too_many_clients_are_turned_away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a client is told to come again, code 1013; the others stay."""
    monkeypatch.setenv("RR_SHOW_MAX_CLIENTS", "1")
    with simulating(root) as live, Listener(live) as first:
        with (
            pytest.raises(ConnectionClosed) as closed,
            Listener(live, silent=True) as second,
        ):
            second.next()
        on_loop(live, lambda: play("one", root))

        assert closed.value.rcvd is not None
        assert 1013 == closed.value.rcvd.code
        assert 13 == len(first.events())


def subprotocols(token: str) -> list[str]:
    """Return what a browser offers in the place of an Authorization header."""
    encoded = urlsafe_b64encode(token.encode()).decode().rstrip("=")
    return [SUBPROTOCOL, f"bearer.{encoded}"]


def test_the_token_is_asked_for(root: Path) -> None:
    """With RR_API_TOKEN set a client sends it as a header or, a browser, as a subprotocol."""
    with simulating(root, api_token=SecretStr(TOKEN)) as live:
        for options in (
            {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}},
            {"subprotocols": subprotocols(TOKEN)},
        ):
            with Listener(live, **options) as listener:
                assert listener.ack
        assert SUBPROTOCOL == listener.socket.subprotocol
        for options in (
            {},
            {"additional_headers": {"Authorization": "Bearer wrong"}},
            {"subprotocols": subprotocols("wrong")},
            {"subprotocols": [SUBPROTOCOL, "bearer.%"]},
            {"subprotocols": [SUBPROTOCOL]},
        ):
            with pytest.raises(InvalidStatus, match="401"), Listener(live, **options):
                pass


def test_a_foreign_page_is_refused(server: LiveServer) -> None:
    """A browser's page of another origin cannot listen; one of this server can."""
    with pytest.raises(InvalidStatus, match="403"), Listener(server, origin="http://evil.example"):
        pass
    with Listener(server, origin=f"http://127.0.0.1:{server.port}") as listener:
        assert listener.ack
