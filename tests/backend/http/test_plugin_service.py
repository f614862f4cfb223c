"""A plugin's service: what its lifespan yields, for its own routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from backend.config import Settings
from backend.http import service_of
from backend.http.app import create_app
from backend.plugins import Discovered, Host, Plugin, PluginSettings
from tests.live import LiveServer

Tide = Annotated[list[int], Depends(service_of("tide"))]


def routes() -> APIRouter:
    """Return the routes of a plugin called tide."""
    router = APIRouter()

    @router.get("/v1/tide")
    async def tide(service: Tide) -> list[int]:
        return service

    @router.websocket("/v1/tide/live")
    async def live(socket: WebSocket, service: Tide) -> None:
        await socket.accept()
        await socket.send_json(service)
        await socket.close()

    return router


def server(tmp_path: Path, *, starts: bool) -> LiveServer:
    @asynccontextmanager
    async def lifespan(host: Host, _: PluginSettings) -> AsyncIterator[list[int]]:
        if not starts:
            raise RuntimeError("no moon")
        yield [1, 2]

    plugin = Plugin("tide", PluginSettings, lifespan, router=routes())
    return LiveServer(create_app(Settings(artifacts_dir=tmp_path), [Discovered("tide", plugin)]))


def test_routes_get_what_the_lifespan_yields(tmp_path: Path) -> None:
    """A route and a WebSocket of a running plugin have its service."""
    with server(tmp_path, starts=True) as live, live.client() as client:
        answer = client.get("/v1/tide")
        with connect(live.url.replace("http", "ws") + "/v1/tide/live") as socket:
            heard = socket.recv()

    assert [1, 2] == answer.json()
    assert "[1,2]" == heard


def test_routes_of_a_plugin_that_failed_say_so(tmp_path: Path) -> None:
    """Without a service a route answers 503 with the plugin's state; a WebSocket is refused."""
    with server(tmp_path, starts=False) as live, live.client() as client:
        answer = client.get("/v1/tide")
        with (
            pytest.raises(InvalidStatus, match="503"),
            connect(live.url.replace("http", "ws") + "/v1/tide/live") as socket,
        ):
            socket.recv()

    assert (503, "The plugin 'tide' is not running: failed.") == (
        answer.status_code,
        answer.json()["detail"],
    )


def test_routes_of_a_plugin_that_was_switched_off_say_how_to_get_it_back(tmp_path: Path) -> None:
    """Who opens a page of it in a browser reads the command."""
    with server(tmp_path, starts=True) as live, live.client() as client:
        client.post("/v1/plugins/tide", json={"enabled": False}).raise_for_status()
        answer = client.get("/v1/tide")

    assert 503 == answer.status_code
    assert "reflective-resonance plugins enable tide" in answer.json()["detail"]
