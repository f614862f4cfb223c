"""The cookie that counts as the token, and how wrong tokens are slowed down."""

import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from fastapi import APIRouter
from pydantic import SecretStr
from starlette.websockets import WebSocket
from structlog.testing import capture_logs

from backend.config import Settings
from backend.http import login
from backend.http.app import create_app
from backend.http.connections import Connections
from backend.http.login import COOKIE, LIFE_S, MAX_LOGINS, WRONG_PER_MINUTE, Logins
from backend.http.problems import ProblemError
from backend.plugins import Discovered, Host, Plugin, PluginSettings
from tests.live import Answer, LiveServer, parse, post
from tests.live import get as asked
from tests.patience import LIMIT_S

TOKEN = "canary-token"
BEARER = f"Authorization: Bearer {TOKEN}"
JSON = "Content-Type: application/json"
NAMED = "https://show.example"
UPGRADE = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)

router = APIRouter()


@router.get("/v1/tide/{place}/level")
@router.post("/v1/tide/{place}/level")
@router.head("/v1/tide/{place}/level")
@router.get("/v1/tide/charts/{path:path}")
@router.get("/v1/tide")
def tide() -> str:
    """Answer."""
    return "high"


@router.websocket("/v1/tide/charts/live")
async def live(socket: WebSocket) -> None:
    """Accept, and end."""
    await socket.accept()
    await socket.close()


@asynccontextmanager
async def lifespan(_: Host, __: PluginSettings) -> Any:
    """Run."""
    yield "tide"


TIDES = Plugin(
    "tides",
    PluginSettings,
    lifespan,
    router=router,
    open_paths=lambda settings: ("GET /v1/tide/*/level", "GET /v1/tide/charts/*"),
)


def app_with(folder: Path, token: str | None = TOKEN, origins: tuple[str, ...] = (NAMED,)) -> Any:
    secret = SecretStr(token) if token else None
    settings = Settings(artifacts_dir=folder, api_token=secret, cors_origins=origins)
    return create_app(settings, [Discovered("tides", TIDES)])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(app_with(tmp_path)) as live:
        yield live


def enter(server: LiveServer, token: str = TOKEN, *headers: str) -> Answer:
    return post(server.port, "/v1/login", b'{"token": "%s"}' % token.encode(), JSON, *headers)


def cookie_of(answer: Answer) -> str:
    return f"Cookie: other=1; {answer.headers['set-cookie'].partition(';')[0]}"


def status(server: LiveServer, target: str, *headers: str, method: str = "GET") -> int:
    return asked(server.port, target, *headers, method=method).status


def socket_status(server: LiveServer, target: str, *headers: str) -> int:
    """Return the status of a WebSocket's handshake, and go away."""
    lines = [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: Upgrade", *UPGRADE]
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as connection:
        connection.sendall("\r\n".join([*lines, *headers, "", ""]).encode())
        return parse(connection.recv(65_536)).status


def test_the_cookie_of_a_login_counts_as_the_token(server: LiveServer) -> None:
    """It opens routes and WebSockets, no script can read it, and no other site can send it."""
    with capture_logs() as lines:
        answer = enter(server)
    cookie = cookie_of(answer)

    assert [("logged in", "127.0.0.1")] == [(one["event"], one.get("client")) for one in lines]
    assert (204, b"") == (answer.status, answer.body)
    _, *attributes = answer.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LIFE_S}"} == set(attributes)
    assert TOKEN not in answer.headers["set-cookie"]
    assert 401 == status(server, "/v1/agents")
    assert 200 == status(server, "/v1/agents", cookie)
    assert 401 == socket_status(server, "/v1/tide/charts/live")
    assert 101 == socket_status(server, "/v1/tide/charts/live", cookie)


def test_over_https_the_cookie_is_sent_over_https_only(tmp_path: Path) -> None:
    """Also where a trusted proxy has the certificate."""
    connections = Connections(LIMIT_S, trusted_proxies=("127.0.0.1",))
    with LiveServer(app_with(tmp_path), connections) as server:
        answer = enter(server, TOKEN, "X-Forwarded-Proto: https")

    assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_a_logout_ends_the_login(server: LiveServer) -> None:
    """The cookie is worth nothing afterwards; another browser stays logged in."""
    first, other = cookie_of(enter(server)), cookie_of(enter(server))

    answer = post(server.port, "/v1/logout", b"", first)

    assert (204, True) == (answer.status, 'rr_session=""' in answer.headers["set-cookie"])
    assert 401 == status(server, "/v1/agents", first)
    assert 200 == status(server, "/v1/agents", other)
    assert 204 == post(server.port, "/v1/logout", b"").status


def test_a_cookie_ends_with_the_server_and_by_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart and after 12 hours the token is asked for again."""
    with LiveServer(app_with(tmp_path)) as server:
        earlier = cookie_of(enter(server))
    with LiveServer(app_with(tmp_path)) as server:
        assert 401 == status(server, "/v1/agents", earlier)
        cookie = cookie_of(enter(server))
        now = monotonic()
        monkeypatch.setattr(login, "monotonic", lambda: now + LIFE_S - 60)
        assert 200 == status(server, "/v1/agents", cookie)
        monkeypatch.setattr(login, "monotonic", lambda: now + LIFE_S + 1)
        assert 401 == status(server, "/v1/agents", cookie)


@pytest.mark.parametrize("value", ["", "x", TOKEN, "0" * 43, "ä"])
def test_another_cookie_is_worth_nothing(server: LiveServer, value: str) -> None:
    """Neither an invented one nor the token itself."""
    enter(server)

    assert 401 == status(server, "/v1/agents", f"Cookie: {COOKIE}={value}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"token": "canary-toke"}', 401),
        (b'{"token": "canary-token "}', 401),
        (b'{"token": ""}', 401),
        (b'{"token": "\xc3\xa4"}', 401),
        (b'{"token": "\\ud800"}', 401),
        (b'{"token": null}', 422),
        (b'{"token": "%s"}' % (b"x" * 1001), 422),
        (b"{}", 422),
        (b"canary-token", 400),
    ],
)
def test_a_wrong_login_is_refused(server: LiveServer, body: bytes, expected: int) -> None:
    """It sets no cookie, and what was sent does not come back."""
    answer = post(server.port, "/v1/login", body, JSON)

    assert (expected, False) == (answer.status, "set-cookie" in answer.headers)
    assert b"canary" not in answer.body


def test_another_site_can_use_no_cookie(tmp_path: Path) -> None:
    """A page of another port has the cookie sent; it counts for origins that are named only."""
    with LiveServer(app_with(tmp_path, origins=("*", NAMED))) as server:
        cookie = cookie_of(enter(server))
        found = {
            origin: status(server, "/v1/agents", cookie, f"Origin: {origin}")
            for origin in (NAMED, "http://127.0.0.1", "http://127.0.0.1:9999")
        }
        by_socket = socket_status(
            server, "/v1/tide/charts/live", cookie, "Origin: http://127.0.0.1:9999"
        )
    with LiveServer(app_with(tmp_path)) as server:
        origin = "Origin: http://evil.example"
        refused = [enter(server, TOKEN, origin), post(server.port, "/v1/logout", b"", origin)]

    assert {NAMED: 200, "http://127.0.0.1": 200, "http://127.0.0.1:9999": 401} == found
    assert 401 == by_socket
    assert [403, 403] == [answer.status for answer in refused]


def test_without_a_token_a_login_does_nothing(tmp_path: Path) -> None:
    """Whatever is sent, there is nothing to log in to."""
    with LiveServer(app_with(tmp_path, token=None)) as server:
        answer = enter(server, "anything")

    assert (204, False) == (answer.status, "set-cookie" in answer.headers)


def by_login(server: LiveServer, token: str) -> int:
    return enter(server, token).status


def by_header(server: LiveServer, token: str) -> int:
    return status(server, "/v1/agents", f"Authorization: Bearer {token}")


def by_socket(server: LiveServer, token: str) -> int:
    offered = urlsafe_b64encode(token.encode()).decode().rstrip("=")
    return socket_status(
        server, "/v1/tide/charts/live", f"Sec-WebSocket-Protocol: bearer.{offered}"
    )


@pytest.mark.parametrize("guess", [by_login, by_header, by_socket])
def test_wrong_tokens_are_slowed_down(server: LiveServer, guess: Any) -> None:
    """After some of them not even the right token is compared, however it is sent."""
    cookie = cookie_of(enter(server))

    statuses = [guess(server, f"guess-{number}") for number in range(WRONG_PER_MINUTE + 2)]

    assert [401] * WRONG_PER_MINUTE + [429, 429] == statuses
    for again in (by_login, by_header, by_socket):
        assert 429 == again(server, TOKEN)
    answer = enter(server)
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert 200 == status(server, "/v1/agents", cookie)


def test_only_new_wrong_tokens_are_counted(server: LiveServer) -> None:
    """Neither a busy client, nor one with an old token, nor one without makes others wait."""
    for _ in range(WRONG_PER_MINUTE + 5):
        assert 401 == by_header(server, "an-old-token")
        assert 401 == by_login(server, "an-old-token")
        assert 401 == status(server, "/v1/agents")
        assert 200 == by_header(server, TOKEN)
    assert 204 == by_login(server, TOKEN)


def test_logins_and_wrong_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many logins the first ends; memory does not grow with guesses."""
    logins = Logins(SecretStr(TOKEN))
    cookies = [{COOKIE: logins.open()} for _ in range(MAX_LOGINS + 1)]
    monkeypatch.setattr(login, "MAX_WRONG", 3)
    for number in range(5):
        with pytest.raises(ProblemError):
            logins.check(b"%d" % number, "client")

    assert [False, True, True] == [logins.knows(cookies[at]) for at in (0, 1, MAX_LOGINS)]
    assert 3 == len(logins._wrong)


def test_what_a_plugin_opens_needs_no_token_while_it_runs(server: LiveServer) -> None:
    """Other methods of the path do, and so does all of it once the plugin is switched off."""
    with server.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:

        def switch(on: bool) -> None:
            answer = client.post("/v1/plugins/tides", json={"enabled": on})
            assert 200 == answer.status_code

        assert 200 == status(server, "/v1/tide/north/level")
        switch(False)
        assert 401 == status(server, "/v1/tide/north/level")
        switch(True)
        assert 200 == status(server, "/v1/tide/north/level")
        assert 200 == status(server, "/v1/tide/charts/a/b.json")


@pytest.mark.parametrize(
    "target",
    [
        *("/v1/tide", "/v1/tide/level", "/v1/tide//level", "/v1/tide/a/b/level", "/v1/tide/charts"),
        *("/v1/tide/charts/", "/v1/tide/charts//a", "/v1/tide/charts/../../agents", "//v1/agents"),
        *("/v1/tide/charts/%2e%2e/x", "/v1/tide/charts/.", "/v1/tide/%2e%2e/level", "/V1/health"),
        *("/v1/tide/charts/..%2f..%2fagents", "/v1/tide/charts%2f..%2f..%2fagents", "/v1/health/"),
        *("/v1/tide/charts/..%5c..%5cagents", "/v1/tide/charts/%252e%252e/x", "/v1/health%0a"),
        *("/v1/TIDE/north/level", "/v1/tide/north/LEVEL", "/v1/tide/north/level/", "/v1/login/x"),
        *("/v1/tide/north/level%00", "/v1/tide/north/level%0a", "/v1/tide/a%2Fb/level", "/page/x"),
        *("/v1/agents;/v1/tide/north/level", "/v1/agents?x=/v1/tide/north/level", "/v1/agents#/"),
        *("/v1/agents/../tide/north/level", "/v1/tide/north/level/../../../agents", "/v1/page"),
        *("http://127.0.0.1/v1/agents", "/v1/health/../agents", "/v1/login/../agents", "/docs/"),
    ],
)
def test_no_path_beside_an_open_one_is_open(server: LiveServer, target: str) -> None:
    """Dots, double slashes, other cases, encoded signs and longer paths need the token."""
    assert 401 == status(server, target)


def test_no_other_method_is_open(server: LiveServer) -> None:
    """No WebSocket, and no header that names another method; HEAD is GET without its body."""
    path = "/v1/tide/north/level"
    for method in ("POST", "PUT", "get", "OPTIONS", "CONNECT"):
        assert 401 == status(server, path, method=method), method
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert 401 == status(server, path, f"{header}: GET", method="POST")
        assert 401 == status(server, "/v1/agents", f"{header}: OPTIONS", f"X-Original-URL: {path}")
    assert 401 == socket_status(server, "/v1/tide/charts/live")
