"""Fixtures of pytest, for `pytest_plugins = ["backend.plugins.testing.fixtures"]`."""

from pathlib import Path

import pytest

from backend.plugins.contract import Host
from backend.plugins.testing.clock import Clock
from backend.plugins.testing.session import RecordedSession, host_of, recorded_session


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Return a host without a server; its artifacts root is temporary."""
    return host_of(tmp_path / "artifacts")


@pytest.fixture
def session(host: Host) -> RecordedSession:
    """Return a session to play, its recordings in the artifacts root of `host`."""
    return recorded_session(host.artifacts.root)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is set by hand."""
    return Clock()
