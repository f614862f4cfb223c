"""The server speaks HTTPS, with the same limits for its connections as without."""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import SecretStr
from websockets.sync.client import connect

from backend.config import Settings, client_context, server_context
from backend.errors import ServerError
from backend.http.app import create_app
from backend.http.connections import Connections
from backend.plugins import Server, discover
from tests.backend.serving import READY, Serving
from tests.command import invoke, run
from tests.live import LiveServer, chat_body, events
from tests.patience import LIMIT_S, until

FILES = Path(__file__).parents[3] / "data" / "tls"
CERTIFICATE, KEY, OTHER_CERTIFICATE, OTHER_KEY = (
    FILES / f"{name}.pem" for name in ("certificate", "key", "other-certificate", "other-key")
)
TLS = {"RR_TLS_CERTIFICATE": str(CERTIFICATE), "RR_TLS_KEY": str(KEY)}
TOKEN = "canary-token"
SHORT_S = 1.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """Return a server with HTTPS, short limits and room for four connections."""
    found = [item for item in discover() if item.name in {"show", "console"}]
    settings = Settings(artifacts_dir=tmp_path, api_token=SecretStr(TOKEN), request_limit_s=SHORT_S)
    connections = Connections(
        SHORT_S, leaving_s=SHORT_S, most=4, tls=server_context(CERTIFICATE, KEY)
    )
    with LiveServer(create_app(settings, found), connections) as live:
        yield live


def secure(server: LiveServer) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)
    return client_context(CERTIFICATE).wrap_socket(plain)


def test_pages_streams_and_sockets_work_over_https(server: LiveServer) -> None:
    """The cookie of a login is Secure; a session and its events come through to their end."""
    own = Server(server.url, TOKEN, CERTIFICATE)
    with own.client() as client:
        health = client.get(f"{server.url}/v1/health")
        cookie = client.post(f"{server.url}/v1/login", json={"token": TOKEN}).headers["set-cookie"]
        with client.stream("POST", f"{server.url}/v1/chat", json=chat_body(1)) as stream:
            names = [name for name, _ in events(stream.iter_lines())]
    url = server.url.replace("https", "wss") + "/v1/events"
    with connect(
        url,
        ssl=client_context(CERTIFICATE),
        additional_headers={"cookie": cookie.partition(";")[0]},
        proxy=None,
    ) as events_socket:
        events_socket.send(json.dumps({"type": "hello"}))
        assert json.loads(events_socket.recv(LIMIT_S))["type"]

    assert (200, "done", True) == (health.status_code, names[-1], "Secure" in cookie.split("; "))
    assert "loggedIn" in own.ask("GET", "/v1/page")


def test_a_request_may_come_with_the_end_of_the_handshake(server: LiveServer) -> None:
    """What a client sends in the same moment is not lost, however often it is tried."""
    request = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for _ in range(20):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context(CERTIFICATE).wrap_bio(incoming, outgoing)
        with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as plain:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65_536))
            tls.write(request)
            plain.sendall(outgoing.read())  # the end of the handshake and the request at once
            incoming.write(plain.recv(65_536))
            while True:
                try:
                    answer = tls.read(65_536)
                    break
                except ssl.SSLWantReadError:
                    incoming.write(plain.recv(65_536))
        assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.e2e
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(300)])
def test_who_does_not_speak_tls_is_dropped(server: LiveServer, sent: bytes) -> None:
    """A client that sends nothing, half a handshake or plain HTTP has as long as for a request."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as plain:
        plain.sendall(sent)
        while True:
            try:
                if not plain.recv(65_536):
                    break
            except ConnectionResetError:
                break
    until(lambda: server.connections == 0, "no connection is left")


@pytest.mark.e2e
def test_unfinished_handshakes_make_room_for_others(server: LiveServer) -> None:
    """They count among the connections, and the oldest is aborted for one that does speak."""
    waiting = [socket.create_connection(("127.0.0.1", server.port), LIMIT_S) for _ in range(8)]
    try:
        with secure(server) as connection:
            connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            assert server.connections <= 4
    finally:
        for one in waiting:
            one.close()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/health HTTP/1.1\r\nHost: localh", None),
        (
            b"POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n"
            b"Content-Type: application/json\r\n\r\n{",
            408,
        ),
        (b"POST /v1/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n{", 401),
    ],
)
def test_the_limits_hold_over_https(
    server: LiveServer, head: bytes, status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A head, a body and an answer before the body have their limits, and the connection ends."""
    with secure(server) as connection:
        connection.sendall(head)
        if status == 401:  # the rest of the body is read, so that the answer is not lost
            connection.sendall(bytes(899_999))
        answer = b""
        try:
            while part := connection.recv(65_536):
                answer += part
        except OSError:  # it is aborted
            pass

    assert (f"HTTP/1.1 {status}".encode() if status else b"") == answer[:12]
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"]
    until(lambda: server.connections == 0, "no connection is left")


@pytest.mark.e2e
def test_a_client_that_does_not_read_is_aborted() -> None:
    """Over HTTPS too an answer may stall for a limited time, and a stop waits for none."""
    app = FastAPI()

    @app.get("/large")
    def large() -> StreamingResponse:
        return StreamingResponse(bytes(65_536) for _ in range(1_000))

    tls = server_context(CERTIFICATE, KEY)
    connections = Connections(10 * LIMIT_S, stalled_s=SHORT_S, tls=tls)
    with LiveServer(app, connections) as live:
        with secure(live) as connection:
            connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: live.connections == 1 and live.unsent > 0, "the answer waits")
            until(lambda: live.connections == 0, "the connection is aborted")
        with socket.create_connection(("127.0.0.1", live.port), LIMIT_S):
            until(lambda: live.connections == 1, "its handshake is waited for")
            live.run(stop(connections))
            until(lambda: live.connections == 0, "the stop has aborted it")


async def stop(connections: Connections) -> None:
    """Stop them, on their event loop."""
    connections.stop()


@pytest.mark.e2e
def test_a_server_with_a_certificate_is_asked_by_its_own_commands(tmp_path: Path) -> None:
    """The log names https, `plugins`, `stats` and `doctor` reach it, and it stops in time."""
    env = {**TLS, "RR_WAVES_ENABLED": "false", "RR_API_TOKEN": TOKEN}
    with Serving(tmp_path, env) as serving:
        serving.wait_for(READY)
        with socket.create_connection(("127.0.0.1", serving.port), LIMIT_S):  # stays silent
            of_it = {**env, "RR_PORT": str(serving.port)}
            off = run("plugins", "disable", "osc", cwd=tmp_path, env=of_it)
            plugins = run("plugins", cwd=tmp_path, env=of_it)
            stats = run("stats", "--json", cwd=tmp_path, env=of_it)
            code = serving.stop()

    assert [0, 0, 0] == [off.returncode, plugins.returncode, stats.returncode], (
        off,
        plugins,
        stats,
    )
    address = f"https://127.0.0.1:{serving.port}"
    assert address == json.loads(stats.stdout)["url"]
    assert any(READY in line and address in line for line in serving.log)
    assert 0 == code
    assert "Traceback" not in "".join(serving.log)


def test_only_the_certificate_of_the_settings_is_trusted(
    server: LiveServer, tmp_path: Path
) -> None:
    """The token is not sent to a server with another one."""
    for certificate in (None, OTHER_CERTIFICATE):
        with pytest.raises(ServerError, match="no server answers"):
            Server(server.url, TOKEN, certificate).ask("GET", "/v1/page")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"RR_TLS_CERTIFICATE": str(CERTIFICATE)}, ("set RR_TLS_KEY too",)),
        ({"RR_TLS_KEY": str(KEY)}, ("set RR_TLS_CERTIFICATE too",)),
        ({**TLS, "RR_TLS_KEY": "none.pem"}, ("RR_TLS_KEY=", "No such file")),
        ({**TLS, "RR_TLS_CERTIFICATE": str(FILES)}, ("RR_TLS_CERTIFICATE", "Is a directory")),
        ({**TLS, "RR_TLS_KEY": str(OTHER_KEY)}, (str(OTHER_KEY), "MISMATCH", "made together")),
        ({**TLS, "RR_TLS_CERTIFICATE": __file__}, (__file__, "made together")),
    ],
)
def test_files_that_cannot_be_used_are_told(given: dict[str, str], words: tuple[str, ...]) -> None:
    """Before anything starts, with the value and what to do."""
    result = invoke("serve", **given)

    assert 2 == result.exit_code
    for one in words:
        assert one in result.stderr


def test_addresses_say_https() -> None:
    """What TouchDesigner gets has the scheme of the server."""
    text = invoke("touchdesigner", **TLS).stdout

    assert "'https://%s:%s/%s'" in text
    assert "netaddress = 'wss://' + HOST" in text
    assert "netaddress = '' + HOST" in invoke("touchdesigner").stdout
