"""A server without plugins for the tests of the HTTP surface."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.speech import Spoken
from backend.speech.children import EmbeddedEngine
from tests.live import LiveServer
from tests.patience import LIMIT_S

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


class Gate:
    """Speech that waits until it is let through."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.waiting = 0
        speak = EmbeddedEngine.generate_wav_to_file

        def wait(engine: EmbeddedEngine, text: str, voice_profile: str, path: Path) -> Spoken:
            self.waiting += 1
            assert self.opened.wait(LIMIT_S)
            return speak(engine, text, voice_profile, path)

        patch.setattr(EmbeddedEngine, "generate_wav_to_file", wait)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Return a gate that keeps every session in its first turn; opened at the end."""
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()
