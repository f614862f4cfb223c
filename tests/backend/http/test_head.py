"""HEAD wherever there is GET, over a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import APIRouter, Response
from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered, Plugin, PluginSettings, discover
from tests.live import LiveServer, chat, get
from tests.patience import LIMIT_S

TIMES = {"date", "content-encoding"}


class Forever(Response):
    """Sends, and never asks whether the client is there, as the response of a recording does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"tide", "more_body": True})
            await asyncio.sleep(0)


class Endless:
    """Streams that never end, and whether each was told to."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.router = APIRouter(include_in_schema=False)
        self.router.get("/v1/endless/text")(self.text)
        self.router.get("/v1/endless/events")(self.events)

    async def text(self) -> Response:
        return self._told(Forever())

    async def events(self) -> Response:
        return self._told(EventSourceResponse(self._silence(), ping=3600))

    def _told(self, response: Response) -> Response:
        """Return a response that says when it has been sent."""
        ended = self.ended

        class Told(Response):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                try:
                    await response(scope, receive, send)
                finally:
                    ended.set()

        return Told()

    async def _silence(self) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""


@pytest.fixture
def endless() -> Endless:
    return Endless()


@pytest.fixture
def server(
    tmp_path: Path, endless: Endless, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveServer]:
    monkeypatch.setenv("RR_WAVES_ENABLED", "false")
    monkeypatch.setenv("RR_STREAM_WAVES", "false")  # the events end with the session
    names = {"console", "stream", "show", "metrics", "recorder"}
    found = [item for item in discover() if item.name in names]

    @asynccontextmanager
    async def lifespan(*_: object) -> AsyncIterator[None]:
        yield

    plugin = Plugin("endless", PluginSettings, lifespan, router=endless.router)
    app = create_app(Settings(artifacts_dir=tmp_path), [*found, Discovered("endless", plugin)])
    with LiveServer(app) as live:
        yield live


def test_head_is_get_without_its_body(server: LiveServer) -> None:
    """Every route with GET answers HEAD with the same status and headers, and no body."""
    session_id = chat(server, 1)[-1][1]["sessionId"]
    server.settle()
    described = json.loads(get(server.port, "/v1/openapi.json").body)["paths"]
    values = {"slotId": "1", "sessionId": session_id, "session_id": session_id, "path": "x.wav"}
    values |= {"replay_id": "1", "replayId": "1", "name": "show"}
    targets = [path.format(**values) for path, methods in described.items() if "get" in methods]
    targets += ["/", "/console", "/page/style.css", "/docs", "/readme", "/v1/openapi.json", "/no"]

    for target in targets:
        whole, head = get(server.port, target), get(server.port, target, method="HEAD")

        assert (whole.status, b"") == (head.status, head.body), target
        assert whole.headers.keys() - TIMES == head.headers.keys() - TIMES, target
    assert len(targets) > 20


@pytest.mark.parametrize("kind", ["text", "events"])
def test_a_stream_ends_with_its_head(server: LiveServer, endless: Endless, kind: str) -> None:
    """What would never end is ended, and the connection is free for the next request."""
    answer = get(server.port, f"/v1/endless/{kind}", method="HEAD")

    async def ended() -> None:
        await asyncio.wait_for(endless.ended.wait(), LIMIT_S)

    assert (200, b"") == (answer.status, answer.body)
    server.run(ended())


def test_head_of_a_route_without_get_names_the_others(server: LiveServer) -> None:
    """405, as GET has it."""
    answer = get(server.port, "/v1/chat", method="HEAD")

    assert (405, "POST") == (answer.status, answer.headers["allow"])
