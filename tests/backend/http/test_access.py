"""Who may talk to the server: Host, Origin and token."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from backend.config import Settings
from backend.http.access import LOGGED_AT_MOST, admitted_origins
from backend.http.app import create_app
from backend.http.connections import Connections
from tests.live import LiveServer, exchange, get
from tests.patience import LIMIT_S

TOKEN = "a-long-token"
CLIENT = "https://show.example"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server that asks for a token and knows one name and one web client."""
    settings = Settings(
        artifacts_dir=tmp_path_factory.mktemp("artifacts"),
        allowed_hosts=("show-pc",),
        cors_origins=(CLIENT,),
        api_token=SecretStr(TOKEN),
    )
    with LiveServer(create_app(settings, discovered=[])) as live:
        yield live


def status(
    server: LiveServer, *headers: str, target: str = "/v1/agents", method: str = "GET"
) -> int:
    lines = [f"{method} {target} HTTP/1.1", *headers, "Connection: close", "", ""]
    return exchange(server.port, "\r\n".join(lines).encode("latin-1")).status


BEARER = f"Authorization: Bearer {TOKEN}"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "192.168.1.20", "show-pc:80", "SHOW-PC"]
)
def test_an_address_or_a_known_name_is_answered(guarded: LiveServer, host: str) -> None:
    """An IP address cannot have been rebound; localhost and configured names are ours."""
    assert 200 == status(guarded, f"Host: {host}", BEARER)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "show-pc.evil.example",
        "",
        "127.0.0.1.nip.io",
        "127.0.0.1#.evil.example",
        "127.0.0.1?.evil.example",
        "127.0.0.1/.evil.example",
        "evil.example@127.0.0.1",
        "[::1].evil.example",
        "a:b:c",
    ],
)
def test_any_other_name_is_not_ours(guarded: LiveServer, host: str) -> None:
    """A name that somebody pointed at this machine is refused before anything is done."""
    assert 421 == status(guarded, f"Host: {host}", BEARER)


@pytest.mark.parametrize("origin", [CLIENT, "http://127.0.0.1"])
def test_known_pages_may_use_the_server(guarded: LiveServer, origin: str) -> None:
    """A configured web client and a page of our own are answered."""
    assert 200 == status(guarded, "Host: 127.0.0.1", BEARER, f"Origin: {origin}")


def test_a_head_has_a_limit_also_in_one_piece(guarded: LiveServer) -> None:
    """A head of more than 64 kB is refused, however quickly it comes."""
    fits, too_large = (f"X-A: {'a' * size}" for size in (60_000, 66_000))

    assert 200 == status(guarded, "Host: 127.0.0.1", BEARER, fits)
    assert 431 == status(guarded, "Host: 127.0.0.1", BEARER, too_large)


@pytest.mark.parametrize(
    "framing",
    [
        "HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "HTTP/1.0\r\nTransfer-Encoding: chunked",
    ],
)
def test_a_body_whose_end_is_in_doubt_ends_the_connection(
    guarded: LiveServer, framing: str
) -> None:
    """A proxy may take what we read as a second request for a part of the first body."""
    body = "0\r\n\r\nGET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    head = f"POST /v1/logout {framing}\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n"

    answer = exchange(guarded.port, (head + body).encode())

    assert (400, "close") == (answer.status, answer.headers["connection"])
    assert b"200 OK" not in answer.body


@pytest.mark.parametrize(("proxies", "client"), [((), "127.0.0.1"), (("127.0.0.0/8",), "6.6.6.6")])
def test_only_a_trusted_proxy_says_who_the_client_is(
    tmp_path: Path, proxies: tuple[str, ...], client: str
) -> None:
    """`X-Forwarded-For` is written by anybody: the log and the limits heed that of a proxy."""
    settings = Settings(artifacts_dir=tmp_path, api_token=SecretStr(TOKEN))
    connections = Connections(LIMIT_S, trusted_proxies=proxies)
    live = LiveServer(create_app(settings, discovered=[]), connections)

    with live as server, capture_logs() as logs:
        status(server, "Host: 127.0.0.1", BEARER + "x", "X-Forwarded-For: 6.6.6.6")

    assert [client] == [line["client"] for line in logs if line["event"] == "wrong token"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "file://", ""]
)
def test_foreign_pages_may_not(guarded: LiveServer, origin: str) -> None:
    """A page of a stranger cannot start sessions from a visitor's browser."""
    assert 403 == status(guarded, "Host: 127.0.0.1", BEARER, f"Origin: {origin}")


def test_an_origin_is_known_in_whatever_form_it_is_written(guarded: LiveServer) -> None:
    """Behind a proxy Host may have a port that Origin leaves out; a second Origin never helps."""
    forms = {
        "Show-PC:443": "https://show-pc",
        "show-pc": "https://SHOW-PC:443",
        "show-pc:80": "http://show-pc",
    }
    for host, origin in forms.items():
        assert 200 == status(guarded, f"Host: {host}", BEARER, f"Origin: {origin}"), host
    two = (f"Origin: {CLIENT}", "Origin: https://evil.example")
    for origins in (two, two[::-1]):
        assert 403 == status(guarded, "Host: 127.0.0.1", BEARER, *origins)


def test_http_1_0_needs_no_host(guarded: LiveServer) -> None:
    """Its clients, which are no browsers, need not send one; a wrong one is refused as always."""
    for head, expected in {"": 200, "Host: 127.0.0.1": 200, "Host: evil.example": 421}.items():
        lines = ["GET /v1/agents HTTP/1.0", *([head] if head else []), BEARER, "", ""]
        assert expected == exchange(guarded.port, "\r\n".join(lines).encode()).status, head


def test_a_page_of_the_internet_may_ask_for_a_private_address(guarded: LiveServer) -> None:
    """If its origin is admitted, the preflight says so (Private Network Access)."""
    asks = ("Access-Control-Request-Private-Network: true", "Access-Control-Request-Method: DELETE")

    answer = get(guarded.port, "/v1/chat", f"Origin: {CLIENT}", *asks, method="OPTIONS")
    stranger = get(guarded.port, "/v1/chat", "Origin: http://a.example", *asks, method="OPTIONS")

    assert (200, "true") == (answer.status, answer.headers["access-control-allow-private-network"])
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert (403, False) == (
        stranger.status, "access-control-allow-private-network" in stranger.headers
    )  # fmt: skip


def test_a_refusal_recommends_what_helps(guarded: LiveServer) -> None:
    """A setting is named if it takes the value; a page of another origin may read the answer."""
    cases = {
        ("Host: b.example",): "add it to RR_ALLOWED_HOSTS",
        ("Host: b@example",): "neither a name nor an IP address",
        ("Host: 127.0.0.1", "Origin: http://b.example"): "add it to RR_CORS_ORIGINS",
        ("Host: 127.0.0.1", "Origin: null"): "serve it over http",
        ("Host: 127.0.0.1", "Origin: file://"): "serve it over http",
        ("Host: 127.0.0.1",): "Authorization: Bearer",
    }
    for headers, words in cases.items():
        for upgrade in ((), UPGRADE):
            lines = [
                "GET /v1/agents HTTP/1.1",
                *headers,
                *upgrade,
                *(() if upgrade else ("Connection: close",)),
            ]
            answer = exchange(guarded.port, "\r\n".join([*lines, "", ""]).encode())

            assert words in json.loads(answer.body)["detail"], (headers, upgrade)
            assert "*" == answer.headers["access-control-allow-origin"]
            assert "retry-after" in answer.headers["access-control-expose-headers"]


def test_a_websocket_is_told_that_there_is_nothing(
    guarded: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A path without a route is a problem too, and the log has no error for it."""
    lines = ["GET /v1/nothing HTTP/1.1", "Host: 127.0.0.1", BEARER, *UPGRADE, "", ""]

    answer = exchange(guarded.port, "\r\n".join(lines).encode())

    assert (404, 404) == (answer.status, json.loads(answer.body)["status"])
    assert [] == [one.message for one in caplog.records if one.levelname == "ERROR"]


@pytest.mark.parametrize(
    "header",
    [
        "X-None: 1",
        "Authorization: Bearer",
        f"Authorization: Basic {TOKEN}",
        f"Authorization: Bearer {TOKEN}x",
        f"Authorization: Bearer {TOKEN[:-1]}",
        "Authorization: Bearer ä",
    ],
)
def test_without_the_token_nothing_is_told(guarded: LiveServer, header: str) -> None:
    """A missing, wrong or nearly right token is 401."""
    assert 401 == status(guarded, "Host: 127.0.0.1", header)


def test_the_liveness_probe_needs_no_token(guarded: LiveServer) -> None:
    """A watchdog can tell that the process answers without knowing the secret."""
    assert 200 == status(guarded, "Host: 127.0.0.1", target="/v1/health")
    assert 401 == status(guarded, "Host: 127.0.0.1", target="/v1/health/ready")


def test_a_refusal_is_a_problem_and_echoes_nothing(guarded: LiveServer) -> None:
    """What a stranger sends does not come back."""
    request = b"GET /canary HTTP/1.1\r\nHost: canary.example\r\nConnection: close\r\n\r\n"

    answer = exchange(guarded.port, request)

    assert "application/problem+json" == answer.headers["content-type"]
    assert b"canary" not in answer.body


@pytest.mark.parametrize("port", [5173, 4173])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_development_pages_of_this_machine_may_use_the_server(
    guarded: LiveServer, host: str, port: int
) -> None:
    """A server that only this machine reaches admits them, CORS headers and all, without a word."""
    origin = f"http://{host}:{port}"
    asked = ("Host: 127.0.0.1", f"Origin: {origin}")

    answer = get(guarded.port, "/v1/agents", f"Origin: {origin}", BEARER)
    preflight = status(
        guarded, *asked, "Access-Control-Request-Method: POST", method="OPTIONS", target="/v1/chat"
    )

    assert (200, origin) == (answer.status, answer.headers["access-control-allow-origin"])
    assert 200 == preflight
    assert 403 == status(guarded, "Host: 127.0.0.1", BEARER, f"Origin: {origin}0")


def test_a_server_on_the_network_admits_none_of_them() -> None:
    """Pages of another machine's localhost are not pages of this one."""
    settings = Settings(host="0.0.0.0", api_token=SecretStr(TOKEN), cors_origins=(CLIENT,))

    assert (CLIENT,) == admitted_origins(settings)


UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


def test_a_refusal_is_logged_once_with_what_admits_it(tmp_path: Path) -> None:
    """An origin, a name and a client without the token are one line each, HTTP and WebSocket."""
    settings = Settings(artifacts_dir=tmp_path, cors_origins=(CLIENT,), api_token=SecretStr(TOKEN))
    with capture_logs() as log, LiveServer(create_app(settings, discovered=[])) as live:
        for headers in ((), UPGRADE) * 2:
            status(live, "Host: 127.0.0.1", "Origin: http://a.example", *headers)
            status(live, "Host: 127.0.0.1", "Origin: null", *headers)
            status(live, "Host: b.example:80", *headers)
            status(live, "Host: \x1b[1m", *headers)
            status(live, "Host: 127.0.0.1", *headers)

    assert [
        ("http://a.example", f"RR_CORS_ORIGINS={CLIENT},http://a.example"),
        ("none", "serve the page over http"),
        ("b.example", "RR_ALLOWED_HOSTS=b.example"),
        ("none", "use a name or an IP address"),
        ("127.0.0.1", "send the value of RR_API_TOKEN"),
    ] == [
        (line.get("origin") or line.get("host") or line["client"], line["admitted_by"])
        for line in log
        if line["event"].startswith("request refused: ")
    ]


def test_strangers_do_not_fill_the_log(tmp_path: Path) -> None:
    """After a hundred lines no further refusal is logged."""
    settings = Settings(artifacts_dir=tmp_path)
    with capture_logs() as log, LiveServer(create_app(settings, discovered=[])) as live:
        for number in range(LOGGED_AT_MOST + 5):
            status(live, f"Host: {number}.example")

    assert LOGGED_AT_MOST == sum(line["event"].startswith("request refused: ") for line in log)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.20", "::"])
def test_the_network_is_let_in_on_purpose_only(tmp_path: Path, host: str) -> None:
    """Listening beyond this machine needs a token or the artist's explicit word."""
    with pytest.raises(ValueError, match="RR_API_TOKEN"):
        Settings(host=host)

    assert Settings(host=host, api_token=SecretStr(TOKEN)).host == host
    assert Settings(host=host, allow_open_lan=True).host == host
