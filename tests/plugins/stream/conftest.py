"""Servers with the stream plugin."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered
from plugins.stream.settings import plugin as stream
from plugins.waves.settings import plugin as waves
from tests.live import LiveServer

Serve = Callable[..., AbstractContextManager[LiveServer]]


@contextmanager
def serving(root: Path, *, with_waves: bool = False, **variables: str) -> Iterator[LiveServer]:
    """Run a server with the plugin, and with that of the waves if they are wanted."""
    found = [Discovered("stream", stream)]
    if with_waves:
        found.insert(0, Discovered("waves", waves))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        app = create_app(Settings(artifacts_dir=root, seed=1, max_sessions=16), found)
    with LiveServer(app) as live:
        yield live


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Return what runs a server."""
    return serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server with nothing but the stream plugin."""
    with serving(tmp_path_factory.mktemp("artifacts")) as live:
        yield live


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx2.Client]:
    """Return a client of the module's server; making one costs more than most requests."""
    with server.client() as client:
        yield client
