"""A session's events again, over real HTTP, for readers that come late, leave and come back."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from backend.config import Settings
from backend.http.app import create_app
from tests.live import LiveServer, Sequence, chat, chat_body, events, get
from tests.patience import LIMIT_S
from tests.plugins.stream.conftest import Serve
from tests.plugins.stream.reader import MAX_CONNECTIONS, EventSource, Message
from tests.test_plugin_isolation import session as chunks_of
from tests.test_plugin_isolation import turn_and_slot

READERS, SLOW, LEAVING = 20, 5, 5


@pytest.fixture(scope="module")
def heard(server: LiveServer) -> Sequence:
    """Return what the visitor of a session of two slots got."""
    return chat(server, 1, 2)


@pytest.fixture
def session_id(heard: Sequence) -> str:
    """Return that session's id."""
    found: str = heard[0][1]["sessionId"]
    return found


def told(messages: list[Message]) -> Sequence:
    """Return messages as the visitor gets them."""
    return [(message.name, message.content) for message in messages]


def ids(messages: list[Message]) -> list[str]:
    return [message.id for message in messages]


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


def test_a_later_reader_gets_what_the_visitor_got(
    client: httpx2.Client, heard: Sequence, session_id: str
) -> None:
    """All events come again in their order with ids from 1, then 204 ends the coming back."""
    source = EventSource(client, session_id)

    messages = source.read_all()

    assert heard == told(messages)
    assert numbers(len(heard)) == ids(messages)
    assert [200, 204] == source.statuses


def test_an_event_differs_from_the_visitors_by_its_id_only(client: httpx2.Client) -> None:
    """A frame is that of the chat with one more line, `id:`, before it."""
    with client.stream("POST", "/v1/chat", json=chat_body(1)) as answer:
        spoken = "".join(answer.iter_text())
    session_id = json.loads(spoken.split("data: ")[1].splitlines()[0])["sessionId"]

    again = client.get(EventSource(client, session_id).path)

    assert "text/event-stream; charset=utf-8" == again.headers["content-type"]
    frames = spoken.split("\n\n")[:-1]
    assert "".join(f"id: {n}\n{frame}\n\n" for n, frame in enumerate(frames, 1)) == again.text


def test_a_reader_may_drop_after_any_event(
    client: httpx2.Client, heard: Sequence, session_id: str
) -> None:
    """Whatever k events were seen before the drop, coming back brings exactly the others."""
    for k in range(len(heard) + 1):
        source = EventSource(client, session_id)

        source.connect(k)
        source.read_all()

        assert heard == told(source.messages), f"dropped after {k}"
        assert [200, 204] if k == len(heard) else [200, 200, 204] == source.statuses


def test_a_reader_may_drop_after_every_event(
    client: httpx2.Client, heard: Sequence, session_id: str
) -> None:
    """One event for each connection still is all events, once each."""
    source = EventSource(client, session_id)

    while source.connect(1) == 200 and len(source.statuses) < MAX_CONNECTIONS:
        pass

    assert heard == told(source.messages)


@pytest.mark.parametrize("last_id", ["0", "-1", "1e1", "word", "1 2", "1000000", "9" * 40, "%31"])
def test_an_id_that_was_never_given_is_ignored(
    client: httpx2.Client, heard: Sequence, session_id: str, last_id: str
) -> None:
    """A Last-Event-ID that is none of the stream's brings everything from the start."""
    source = EventSource(client, session_id, last_id)

    assert 200 == source.connect()
    assert heard == told(source.messages)


@pytest.mark.parametrize("session_id", ["20261122T000000Z-00000000", "x", "..%2f..", "%00"])
def test_a_session_that_is_not_known_is_not_found(server: LiveServer, session_id: str) -> None:
    """An unknown session is a 404 problem, at which a browser does not come back."""
    answer = get(server.port, f"/v1/sessions/{session_id}/events", "Last-Event-ID: 3")

    problem = json.loads(answer.body)
    assert (404, 404) == (answer.status, problem["status"])
    assert "application/problem+json" == answer.headers["content-type"]


@pytest.mark.e2e
def test_many_read_a_running_session_each_at_its_own_pace(serve: Serve, tmp_path: Path) -> None:
    """Of 20 readers 5 are slow and 5 leave half-way: the others, the visitor and they lose none."""
    read_by_others = threading.Event()

    def read(number: int, session_id: str) -> list[Message]:
        with live.client() as client:
            source = EventSource(client, session_id)
            if number < SLOW:
                source.connect(1)
                assert read_by_others.wait(LIMIT_S)
            elif number < SLOW + LEAVING:
                source.connect(7)
            return source.read_all()

    with serve(tmp_path) as live, ThreadPoolExecutor(READERS) as pool:
        body = chat_body(1, 2, 3, 4, 5, 6)
        with live.client() as client, client.stream("POST", "/v1/chat", json=body) as answer:
            coming = events(answer.iter_lines())
            first = next(coming)
            session_id = first[1]["sessionId"]
            readings = [pool.submit(read, number, session_id) for number in range(READERS)]
            heard = [first, *coming]
        quick = [reading.result(LIMIT_S) for reading in readings[SLOW:]]
        read_by_others.set()
        slow = [reading.result(LIMIT_S) for reading in readings[:SLOW]]
        logs = live.app.state.hosting.board.service("stream")

    assert all(heard == told(messages) for messages in quick + slow)
    assert all(numbers(len(heard)) == ids(messages) for messages in quick + slow)
    assert 0 == logs.readers


@pytest.mark.e2e
def test_only_the_newest_sessions_are_kept(serve: Serve, tmp_path: Path) -> None:
    """With RR_STREAM_KEEP_SESSIONS=2 the third last session is forgotten, the others are not."""
    with serve(tmp_path, RR_STREAM_KEEP_SESSIONS="2") as live, live.client() as client:
        sessions = [chat(live, 1)[0][1]["sessionId"] for _ in range(4)]
        statuses = [EventSource(client, session_id).connect() for session_id in sessions]

    assert [404, 404, 200, 200] == statuses


@pytest.mark.e2e
def test_a_restart_forgets_the_sessions(serve: Serve, tmp_path: Path) -> None:
    """A reader that comes back to a server that was started again is told 404, not to wait."""
    with serve(tmp_path) as live, live.client() as client:
        before = EventSource(client, chat(live, 1)[0][1]["sessionId"])
        before.connect(3)
    with serve(tmp_path) as live, live.client() as client:
        after = EventSource(client, before.session_id, before.last_id)
        after.read_all()

    assert [404] == after.statuses


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server without plugins."""
    root = tmp_path_factory.mktemp("plain")
    with LiveServer(create_app(Settings(artifacts_dir=root, seed=1), [])) as live:
        yield live


@pytest.mark.e2e
@pytest.mark.parametrize("waves", ["false", "true"])
def test_the_visitors_stream_is_what_it_was(
    serve: Serve, plain: LiveServer, tmp_path: Path, waves: str
) -> None:
    """The bytes of POST /v1/chat are those of a server without the plugin."""
    with serve(tmp_path, RR_STREAM_WAVES=waves) as live:
        one, six = chunks_of(live, 1), chunks_of(live, 1, 2, 3, 4, 5, 6)

    assert chunks_of(plain, 1) == one
    expected = sorted(chunks_of(plain, 1, 2, 3, 4, 5, 6), key=turn_and_slot)
    assert expected == sorted(six, key=turn_and_slot)


def test_the_route_is_documented(client: httpx2.Client) -> None:
    """The OpenAPI document has the route, its header and what it answers."""
    document = client.get("/v1/openapi.json").json()

    described = document["paths"]["/v1/sessions/{session_id}/events"]["get"]
    assert {"session_id", "last-event-id"} == {item["name"] for item in described["parameters"]}
    assert {"200", "204", "404", "503"} <= described["responses"].keys()
