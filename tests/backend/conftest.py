"""A server without plugins for the tests of the HTTP surface."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.app import create_app
from backend.config import Settings
from tests.live import LiveServer

WEB_CLIENT = "http://localhost:5173"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts root of the module's server."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LiveServer]:
    """Return a running server that repeats itself and has no plugin."""
    settings = Settings(artifacts_dir=root, seed=1, max_sessions=64, cors_origins=(WEB_CLIENT,))
    with LiveServer(create_app(settings, discovered=[])) as live:
        yield live
