"""The server behind nginx and Caddy, with the settings of the README, by HTTPS."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from backend.config import client_context
from tests.backend.http.connections.test_tls import CERTIFICATE, KEY
from tests.backend.serving import READY, Serving
from tests.browser import launching
from tests.command import free_port
from tests.live import Data, chat_body, events
from tests.patience import LIMIT_S, until
from tests.readme import ROOT

pytestmark = pytest.mark.e2e

TOKEN = "canary-token"
STRANGER = "192.0.2.9"
USUAL = {"nginx": "/usr/sbin/nginx", "caddy": "/usr/bin/caddy"}
NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""


@dataclass(frozen=True)
class Proxied:
    """A server, and its address through a proxy."""

    serving: Serving
    port: int

    @property
    def origin(self) -> str:
        """The origin of its pages, as a browser sends it."""
        return f"https://localhost:{self.port}"

    @contextmanager
    def client(self, *, logged_in: bool = True) -> Iterator[httpx2.Client]:
        """Yield a client by the proxy, with the cookie of a login."""
        trusted = client_context(CERTIFICATE)
        with httpx2.Client(
            base_url=self.origin, verify=trusted, timeout=LIMIT_S, trust_env=False
        ) as client:
            if logged_in:
                client.post("/v1/login", json={"token": TOKEN}).raise_for_status()
            yield client


def find(name: str) -> str:
    """Return the path of a proxy; skip the test where there is none, unless CI asked for it."""
    asked = os.environ.get(f"RR_TEST_{name.upper()}", "")
    found = asked or shutil.which(name) or USUAL[name]
    if Path(found).exists():
        return found
    if asked:
        pytest.fail(f"no {name} at {asked}")
    pytest.skip(f"no {name}: install it, or set RR_TEST_{name.upper()} to its path")


def snippet(language: str) -> str:
    """Return the settings of a proxy in the README."""
    text = (ROOT / "backend/README.md").read_text("utf-8")
    found = re.search(rf"(?ms)^```{language}\n(.*?)^```$", text)
    assert found is not None
    return found[1]


def written(name: str, folder: Path, port: int, target: int) -> list[str]:
    """Write the settings of a proxy with these ports; return its command."""
    site = snippet(name).replace("127.0.0.1:8000", f"127.0.0.1:{target}")
    if name == "caddy":
        site = site.replace(
            "show.example {", f"https://localhost:{port} {{\n tls {CERTIFICATE} {KEY}"
        )
        site = f"{{\n admin off\n auto_https disable_redirects\n}}\n{site}"
    else:
        site = site.replace("listen 443", f"listen 127.0.0.1:{port}").replace(
            "show.example", "localhost"
        )
        site = site.replace("/etc/ssl/show.pem", str(CERTIFICATE)).replace(
            "/etc/ssl/show-key.pem", str(KEY)
        )
        site = NGINX.format(folder=folder, site=site)
    settings = folder / name
    settings.write_text(site, "utf-8")
    if name == "caddy":
        return ["run", "--adapter", "caddyfile", "--config", str(settings)]
    return ["-p", str(folder), "-c", str(settings)]


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    """Return a server that is reached by a proxy."""
    path, folder = find(request.param), tmp_path_factory.mktemp(request.param)
    env = {
        "RR_API_TOKEN": TOKEN,
        "RR_ALLOWED_HOSTS": "localhost",
        "RR_TRUSTED_PROXIES": "127.0.0.1",
        "RR_WAVES_ENABLED": "false",
        "RR_STREAM_WAVES": "false",  # the events end with the session
        "RR_SEED": "1",
    }
    with ExitStack() as stack:
        serving = stack.enter_context(Serving(folder, env))
        serving.wait_for(READY)
        port = free_port()
        command = [path, *written(request.param, folder, port, serving.port)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)}
            )
        stack.callback(process.wait, LIMIT_S)
        stack.callback(process.kill)
        proxied = Proxied(serving, port)

        def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text("utf-8", "replace")
            try:
                with proxied.client(logged_in=False) as client:
                    return client.get("/v1/health").status_code == 200
            except httpx2.TransportError:
                return False

        until(answers, f"an answer of {request.param}")
        yield proxied


def test_events_are_not_held_back(proxied: Proxied) -> None:
    """Speech has come while its session runs, and a reader goes on where it stopped."""
    names: list[str] = []
    rest: list[str] = []
    state = ""
    with proxied.client() as client:
        with client.stream("POST", "/v1/chat", json=chat_body(1, 2, 3)) as response:
            path = f"/v1/sessions/{response.headers['x-session-id']}"
            for name, _ in events(response.iter_lines()):
                names.append(name)
                if name == "slot.audio" and not state:
                    state = client.get(path).json()["status"]
        headers = {"last-event-id": "2"}
        with client.stream("GET", f"{path}/events", headers=headers) as response:
            rest += (name for name, _ in events(response.iter_lines()))

    for direct in (("POST", "/v1/chat", chat_body(1)), ("GET", f"{path}/events", None)):
        assert "no" == unbuffered(proxied.serving.port, *direct)
    assert ("running", "done") == (state, names[-1])
    assert names[2:] == rest


def unbuffered(port: int, method: str, path: str, body: Data | None) -> str | None:
    """Return what the server itself says of buffering; nginx keeps that for itself."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx2.stream(
        method, f"http://127.0.0.1:{port}{path}", json=body, headers=headers, trust_env=False
    ) as response:
        found: str | None = response.headers.get("x-accel-buffering")
    return found


def test_a_login_makes_a_cookie_for_https_only(proxied: Proxied) -> None:
    """The proxy says that the browser speaks HTTPS; without the cookie nothing is told."""
    with proxied.client(logged_in=False) as client:
        before = client.get("/v1/agents").status_code
        cookie = client.post("/v1/login", json={"token": TOKEN}).headers["set-cookie"]
        after = client.get("/v1/agents").status_code

    assert (401, 200) == (before, after)
    assert {"secure", "httponly", "samesite=strict"} <= set(cookie.lower().split("; "))


def test_pages_of_the_proxy_are_our_own(proxied: Proxied) -> None:
    """Their origin is that of the Host that the proxy passes on; a stranger's is refused."""
    with proxied.client() as client:
        found = [
            client.get("/v1/agents", headers={"origin": origin}).status_code
            for origin in (proxied.origin, "https://evil.example", "null")
        ]

    assert [200, 403, 403] == found


def test_a_websocket_is_opened_or_told_why_not(proxied: Proxied) -> None:
    """With the cookie it is open; the problem of a refusal comes through."""
    with proxied.client() as client:
        cookie = f"rr_session={client.cookies['rr_session']}"
    address = f"wss://localhost:{proxied.port}/v1/events"
    options: Any = {"ssl": client_context(CERTIFICATE), "proxy": None, "open_timeout": LIMIT_S}

    with connect(
        address, origin=Origin(proxied.origin), additional_headers={"Cookie": cookie}, **options
    ) as socket:
        socket.send('{"type": "hello"}')
        kinds = [json.loads(socket.recv(LIMIT_S))["type"]]
        while kinds[-1] != "hello.ack":
            kinds.append(json.loads(socket.recv(LIMIT_S))["type"])
    refusals = []
    for origin, headers in {"https://evil.example": {"Cookie": cookie}, proxied.origin: {}}.items():
        with pytest.raises(InvalidStatus) as refused, connect(
            address, origin=Origin(origin), additional_headers=headers, **options
        ):  # fmt: skip
            pass
        body = refused.value.response.body
        refusals.append((refused.value.response.status_code, json.loads(body or b"{}")["detail"]))

    assert (403, 401) == (refusals[0][0], refusals[1][0])
    assert "RR_CORS_ORIGINS" in refusals[0][1]


def test_a_part_of_a_recording_is_a_part(proxied: Proxied) -> None:
    """Ranges, HEAD and the copy of a client work as without a proxy."""
    with proxied.client() as client:
        with client.stream("POST", "/v1/chat", json=chat_body(1)) as response:
            told = list(events(response.iter_lines()))
        path = next(data["audioPath"] for name, data in told if name == "slot.audio")
        whole = client.get(f"/v1/audio/{path}")
        part = client.get(f"/v1/audio/{path}", headers={"range": "bytes=10-99"})
        again = client.get(f"/v1/audio/{path}", headers={"if-none-match": whole.headers["etag"]})
        head = client.head(f"/v1/audio/{path}")

    assert (206, whole.content[10:100]) == (part.status_code, part.content)
    assert f"bytes 10-99/{len(whole.content)}" == part.headers["content-range"]
    assert (304, 200) == (again.status_code, head.status_code)
    assert str(len(whole.content)) == head.headers["content-length"]


def test_a_large_recording_comes_through(proxied: Proxied) -> None:
    """The limit is that of the server: 24 MB reach it, where hearing is off, 27 MB are too many."""
    with proxied.client() as client:
        found = [
            client.post("/v1/stt", files={"file": ("a.webm", bytes(size * 2**20))}).status_code
            for size in (24, 27)
        ]

    assert [503, 413] == found


def test_a_client_cannot_choose_its_address(proxied: Proxied) -> None:
    """The address that a client claims to have is not that in the log."""
    with proxied.client(logged_in=False) as client:
        headers = {"authorization": "Bearer wrong-token", "x-forwarded-for": STRANGER}
        assert 401 == client.get("/v1/agents", headers=headers).status_code
    proxied.serving.wait_for("wrong token")

    assert STRANGER not in "".join(proxied.serving.log)


def test_the_pages_work(proxied: Proxied) -> None:
    """A browser logs in and sees a session come by the WebSocket and the events."""
    with launching() as launch, launch() as browser:
        page = browser.new_page(ignore_https_errors=True)
        page.goto(f"{proxied.origin}/console")
        page.fill("input[type=password]", TOKEN)
        with page.expect_websocket(timeout=LIMIT_S * 1000) as opened:
            page.click("button.main")
        assert opened.value.url.startswith(f"wss://localhost:{proxied.port}/v1/events")
        opened.value.wait_for_event("framereceived", timeout=LIMIT_S * 1000)
