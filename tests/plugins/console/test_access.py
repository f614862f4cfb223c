"""What the pages may ask for without the token, and what they are told first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import discover
from plugins.console.assets import load_assets
from tests.live import LiveServer, post
from tests.live import get as asked

TOKEN = "canary-token"
SESSION = "20261129T100000Z-ab12"
OPEN = ("GET /", "GET /console", "GET /page/visitor/app.mjs", "GET /page/style.css", "GET /v1/page")
VISITORS = (
    "POST /v1/stt",
    "POST /v1/chat",
    f"GET /v1/sessions/{SESSION}/events",
    f"GET /v1/audio/tts/sessions/{SESSION}/1/x.wav",
    f"GET /v1/audio/waves/sessions/{SESSION}/1/x.wav",
    f"GET /v1/water/waves/sessions/{SESSION}/1/x.wav",
    "GET /v1/slots",
    "HEAD /v1/audio/tts/x.wav",
)
NEVER = (
    *("GET /v1/sessions", f"GET /v1/sessions/{SESSION}", "GET /v1/events", "GET /v1/logs"),
    *("GET /v1/settings", "GET /v1/figures", "GET /v1/agents", "GET /v1/voices", "GET /metrics"),
    *("GET /v1/water/tts/x.wav", "GET /v1/water/waves/../tts/x.wav"),
    *("GET /v1/audio/stt/x.wav", "GET /v1/audio/tts/../stt/x.wav", "GET /v1/audio/tts/%2e%2e/x"),
    *("PUT /v1/slots", "GET /v1/slots/1/memory", "POST /v1/reset", "POST /v1/doctor"),
    *("POST /v1/plugins/show", "POST /v1/waves", "POST /v1/voices/try", "GET /v1/health/ready"),
    *("GET /v1/openapi.json", "GET /v1/stt", "GET /v1/chat", "POST /v1/page", "GET /page"),
    *("HEAD /v1/audio/stt/x.wav", "POST /v1/sessions/x/events", "GET /v1/sessions//events"),
)


def app_with(folder: Path, token: str | None = TOKEN) -> FastAPI:
    found = [item for item in discover() if item.name in {"console", "stream", "show", "waves"}]
    return create_app(
        Settings(artifacts_dir=folder, api_token=SecretStr(token) if token else None), found
    )


@pytest.fixture(autouse=True)
def without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RR_WAVES_ENABLED", "false")


@pytest.fixture(params=[False, True], ids=["closed", "visitor open"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveServer]:
    monkeypatch.setenv("RR_CONSOLE_VISITOR_OPEN", str(request.param).lower())
    with LiveServer(app_with(tmp_path)) as live:
        yield live


def page(server: LiveServer, *headers: str) -> Any:
    with server.client() as client:
        given = dict(header.split(": ", 1) for header in headers)
        return client.get("/v1/page", headers=given).raise_for_status().json()


def test_only_what_a_visitor_needs_can_be_opened(server: LiveServer) -> None:
    """The pages' files always; with the setting, a session and its sound; nothing of the artist."""
    is_open = page(server)["visitorOpen"]

    refused = set()
    for one in (*OPEN, *VISITORS, *NEVER):
        method, _, target = one.partition(" ")
        if asked(server.port, target, "Content-Length: 0", method=method).status == 401:
            refused.add(one)

    assert {*NEVER, *(() if is_open else VISITORS)} == refused


def test_a_page_is_told_what_it_may_do(server: LiveServer) -> None:
    """A login is seen there; a token in a header is not, so that nobody can guess by it."""
    first = page(server)
    answer = post(
        server.port,
        "/v1/login",
        b'{"token": "%s"}' % TOKEN.encode(),
        "Content-Type: application/json",
    )
    cookie = f"Cookie: {answer.headers['set-cookie'].partition(';')[0]}"

    assert {"version", "tokenRequired", "loggedIn", "visitorOpen", "hearing"} == first.keys()
    assert (load_assets().version, True, False) == (
        first["version"],
        first["tokenRequired"],
        first["loggedIn"],
    )
    assert {"state", "reason"} == first["hearing"].keys()
    assert page(server, cookie)["loggedIn"]
    assert not page(server, f"Authorization: Bearer {TOKEN}")["loggedIn"]


def test_without_a_token_nothing_is_asked_for(tmp_path: Path) -> None:
    """The page knows that it needs no login."""
    with LiveServer(app_with(tmp_path, token=None)) as server:
        found = page(server)

    assert (False, False) == (found["tokenRequired"], found["loggedIn"])
