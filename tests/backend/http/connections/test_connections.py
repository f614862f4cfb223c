"""A server does not wait for ever for clients that send nothing, or take nothing of an answer."""

import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import SecretStr

from backend.config import Settings
from backend.http.app import create_app
from backend.http.connections import Connections
from tests.backend.conftest import Gate
from tests.live import LiveServer, chat_body, get, read_events
from tests.patience import LIMIT_S, SOON_S, until
from tests.plugins.show.listening import Listener, found, hub_of, on_loop
from tests.plugins.show.test_clients import BULK

pytestmark = pytest.mark.e2e

TOKEN = "a-long-token"
SHORT_S = 0.5
"""Every limit of the server that is asked."""
LARGE = 32 * 2**20
"""Far more than the buffers of both ends take."""
TOO_LARGE = 900_000
"""Of a body: more than is read of it, less than is thrown away."""
WAV = "tts/sessions/20261122T000000Z-00000000/turn_1/slot-1_gpt-4o_calm_soothing.wav"


@dataclass(frozen=True, slots=True)
class Silence:
    """What a client sends, the status it then has, and what it sends before it falls silent."""

    sent: bytes
    status: int | None = None
    then: bytes = b""


def head(
    line: str, *headers: str, host: str = "127.0.0.1", token: str = TOKEN, body: bytes = b""
) -> bytes:
    lines = [f"{line} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


HANDSHAKE = head(
    "GET /v1/events",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
JSON = "Content-Type: application/json"
LENGTH = "Content-Length: 5000"
CHUNKED = "Transfer-Encoding: chunked"


def _answered_before_the_body() -> Iterator[tuple[str, Silence]]:
    requests: dict[int, Callable[..., bytes]] = {
        200: lambda body: head("GET /v1/health", body),
        401: lambda body: head("POST /v1/chat", body, token="wrong"),
        403: lambda body: head("POST /v1/chat", body, "Origin: https://a.example"),
        404: lambda body: head("POST /nothing", body),
        405: lambda body: head("DELETE /v1/agents", body),
        421: lambda body: head("POST /v1/chat", body, host="a.example"),
    }
    for status, request in requests.items():
        for name, body, byte in (("length", LENGTH, b"x"), ("chunks", CHUNKED, b"5")):
            yield f"{status}, {name}, silent", Silence(request(body), status)
            yield f"{status}, {name}, one byte more", Silence(request(body), status, byte)
    too_large = head("POST /v1/chat", "Content-Length: 500000")
    yield "413, one byte more", Silence(too_large, 413, b"x")
    half = head("POST /v1/chat", JSON, LENGTH, body=b'{"mess')
    yield "408, one byte more", Silence(half, 408, b"x")
    yield "400, one byte more", Silence(b"nonsense\r\n\r\n", 400, b"x")


SILENCES = {
    "before the first byte": Silence(b""),
    "in the request line": Silence(b"GET /v1/he"),
    "in the headers": Silence(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b"),
    "after the headers": Silence(head("POST /v1/chat", JSON, LENGTH)),
    "in the body": Silence(head("POST /v1/chat", JSON, LENGTH, body=b'{"mess')),
    "in a chunk": Silence(head("POST /v1/chat", JSON, CHUNKED, body=b"ff\r\n{")),
    "between chunks": Silence(head("POST /v1/chat", JSON, CHUNKED, body=b"1\r\n{\r\n")),
    "before 100 Continue is used": Silence(
        head("POST /v1/chat", JSON, LENGTH, "Expect: 100-continue"), 100
    ),
    "after an answer": Silence(head("GET /v1/health"), 200),
    "in the next request line": Silence(head("GET /v1/health"), 200, b"GET /v1"),
    "after line ends": Silence(head("GET /v1/health"), 200, b"\r\n"),
    "pipelined, the second without its body": Silence(
        head("GET /v1/health") + head("POST /v1/chat", JSON, LENGTH), 200
    ),
    "takes nothing of an answer": Silence(head(f"GET /v1/audio/{WAV}")),
    "takes nothing, and has sent more": Silence(
        head(f"GET /v1/audio/{WAV}", LENGTH, body=b"x") + head("GET /v1/health")
    ),
    "in a WebSocket's handshake": Silence(HANDSHAKE[:-10]),
    "after a refused handshake": Silence(HANDSHAKE.replace(b"13", b"99"), 400, b"x"),
    "after a handshake without a token": Silence(
        HANDSHAKE.replace(TOKEN.encode(), b"wrong"), 401, b"x"
    ),
    "no pong": Silence(HANDSHAKE, 101),
    "no pong, in the middle of a frame": Silence(HANDSHAKE, 101, b"\x81\xfe\x10"),
    "takes nothing of a WebSocket": Silence(HANDSHAKE, 101),
    **dict(_answered_before_the_body()),
}


def serving(app: FastAPI) -> LiveServer:
    """Serve with every limit short."""
    limits = Connections(SHORT_S, leaving_s=SHORT_S, stalled_s=SHORT_S, websocket_stalled_s=SHORT_S)
    pings = {"ws_ping_interval": SHORT_S, "ws_ping_timeout": SHORT_S}
    return LiveServer(app, limits, timeout_keep_alive=LIMIT_S, **pings)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an artifacts root with a large recording."""
    root = tmp_path_factory.mktemp("artifacts")
    wav = root / WAV
    wav.parent.mkdir(parents=True)
    wav.write_bytes(bytes(LARGE))
    return root


def application(root: Path) -> FastAPI:
    """Return the application with a token and the show."""
    settings = Settings(
        artifacts_dir=root, api_token=SecretStr(TOKEN), request_limit_s=SHORT_S, seed=1
    )
    return create_app(settings, found("show"))


@dataclass(frozen=True, slots=True)
class Ends:
    """The statuses of all that fell silent, which of them were never cut, and who is well."""

    statuses: dict[str, int | None]
    never: set[str]
    well: dict[str, bool]


@pytest.fixture(scope="module")
def ends(root: Path) -> Iterator[Ends]:
    """Fall silent in every state at once, beside clients that only listen."""
    with (
        serving(application(root)) as server,
        pytest.MonkeyPatch.context() as patch,
        ExitStack() as held,
    ):
        gate = Gate(patch)
        held.callback(gate.opened.set)
        stream = held.enter_context(connected(server))
        body = json.dumps(chat_body(1)).encode()
        stream.sendall(head("POST /v1/chat", JSON, f"Content-Length: {len(body)}", body=body))
        read_events(stream, 2)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        listener = held.enter_context(Listener(server, additional_headers=bearer))
        statuses, ports = {}, {}
        for name, silence in SILENCES.items():
            client = held.enter_context(connected(server))
            statuses[name] = fall_silent(client, silence)
            ports[name] = client.getsockname()[1]
        for _ in range(100):
            on_loop(server, lambda: hub_of(server).publish("flood", BULK))
            listener.take(1)
        deadline = time.monotonic() + SOON_S
        while server.clients & set(ports.values()) and time.monotonic() < deadline:
            time.sleep(0.01)
        never = {name for name, port in ports.items() if port in server.clients}
        on_loop(server, lambda: hub_of(server).publish("after", BULK))
        well = {
            "a stream": stream.getsockname()[1] in server.clients,
            "a WebSocket": "after" == listener.take(1)[0]["sessionId"],
        }
        yield Ends(statuses, never, well)


@pytest.mark.parametrize("name", SILENCES)
def test_silence_is_cut_in_every_state(ends: Ends, name: str) -> None:
    """Whatever was said and answered before, a client that falls silent loses its connection."""
    assert SILENCES[name].status == ends.statuses[name]
    assert name not in ends.never


def test_who_only_listens_is_not_cut(ends: Ends) -> None:
    """A stream of events and a WebSocket outlast every limit while their clients read."""
    assert {"a stream": True, "a WebSocket": True} == ends.well


CROWD = {
    name: SILENCES[name]
    for name in (
        "before the first byte",
        "in the headers",
        "in the body",
        "after an answer",
        "200, length, one byte more",
        "401, chunks, one byte more",
    )
}


@pytest.mark.parametrize("name", CROWD)
def test_a_crowd_in_silence_locks_nobody_out(root: Path, name: str) -> None:
    """With every place taken by a silent client, a new one takes that of the longest silent."""
    most = 8
    limits = Connections(LIMIT_S, leaving_s=LIMIT_S, most=most)
    with LiveServer(application(root), limits) as server, ExitStack() as held:
        crowd = [held.enter_context(connected(server)) for _ in range(most)]
        for client in crowd:
            fall_silent(client, CROWD[name])
        first, *others = [client.getsockname()[1] for client in crowd]

        answers = [get(server.port, "/v1/health").status for _ in range(3)]

        until(lambda: first not in server.clients, "the first is cut")
        assert [200] * 3 == answers
        assert set(others[3:]) <= server.clients


def test_an_answer_before_the_body_reaches_who_still_sends_it(root: Path) -> None:
    """A client that reads only once it has sent too large a body gets the answer, not a reset."""
    with (
        LiveServer(application(root), Connections(LIMIT_S, leaving_s=LIMIT_S)) as server,
        connected(server) as client,
    ):
        client.sendall(head("POST /v1/chat", JSON, f"Content-Length: {TOO_LARGE}"))
        client.sendall(bytes(TOO_LARGE))
        answer = b"".join(iter(lambda: client.recv(65_536), b""))

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_one_that_leaves_a_little_is_cut_too() -> None:
    """Less than asyncio tells of by itself, at the end of an answer that is over."""
    app = FastAPI()

    @app.get("/until-full")
    def until_full() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            while not server.unsent:
                yield bytes(1024)

        return StreamingResponse(pieces())

    with (
        LiveServer(app, Connections(LIMIT_S, stalled_s=SHORT_S)) as server,
        connected(server) as client,
    ):
        client.sendall(b"GET /until-full HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        client.recv(1)  # the answer has begun

        until(lambda: server.connections == 0, "the connection is cut")


def test_no_part_of_an_answer_waits_for_an_acknowledgement() -> None:
    """The system sends each part at once, also what is small."""
    connections = Connections(LIMIT_S)
    with LiveServer(FastAPI(), connections) as server, server.client() as client:
        client.get("/")
        (one,) = connections.open
        raw = one.transport.get_extra_info("socket")

        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_client_that_reads_on_is_not(root: Path) -> None:
    """One that paused and went on has its whole answer, and the connection after the limit too."""
    stalled_s = 3.0
    request = head(f"GET /v1/audio/{WAV}")
    limits = Connections(LIMIT_S, stalled_s=stalled_s)
    with (
        LiveServer(application(root), limits, timeout_keep_alive=LIMIT_S) as server,
        connected(server) as client,
    ):
        answers = client.makefile("rb")
        client.sendall(request)
        until(lambda: server.unsent > 0, "the answer waits for its reader")
        first = read_answer(answers)
        time.sleep(1.1 * stalled_s)

        client.sendall(request)
        second = read_answer(answers)

    assert (LARGE, LARGE) == (first, second)


def connected(server: LiveServer) -> socket.socket:
    """Return a connection that buffers as little as it can."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(LIMIT_S)
    client.connect(("127.0.0.1", server.port))
    return client


def fall_silent(client: socket.socket, silence: Silence) -> int | None:
    """Say all there is to say; return the status that came, if one is to come."""
    if silence.sent:
        client.sendall(silence.sent)
    if silence.status is None:
        return None
    status = int(client.recv(65_536).split(b" ", 2)[1])
    client.sendall(silence.then)
    return status


def read_answer(answers: BinaryIO) -> int:
    """Read the head and the body of an answer; return the body's length."""
    while answers.readline() != b"\r\n":
        pass
    return len(answers.read(LARGE))
