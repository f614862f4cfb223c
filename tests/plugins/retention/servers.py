"""Servers that remove, and what is waited for beside them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered
from backend.storage import Artifacts, Tree
from plugins.retention.settings import plugin as retention
from plugins.waves.settings import plugin as waves
from tests.live import LiveServer
from tests.patience import LIMIT_S, until

EVERY_S = 0.05
"""Between two looks."""


@contextmanager
def serving(
    artifacts: Artifacts, *, with_waves: bool = True, **variables: str
) -> Iterator[LiveServer]:
    """Run a server that removes; `tts_keep_last="2"` is RR_RETENTION_TTS_KEEP_LAST=2."""
    found = [Discovered("retention", retention)]
    if with_waves:
        found.insert(0, Discovered("waves", waves))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RR_WAVES_BACKFILL_INTERVAL_S", "0.1")
        patch.setenv("RR_WAVES_JOB_TIMEOUT_S", str(LIMIT_S))  # workers are stopped for a while
        patch.setenv("RR_RETENTION_ENABLED", "true")
        patch.setenv("RR_RETENTION_INTERVAL_S", str(EVERY_S))
        for name, value in variables.items():
            patch.setenv(f"RR_RETENTION_{name.upper()}", value)
        app = create_app(Settings(artifacts_dir=artifacts.root, seed=1), found)
    with LiveServer(app) as live:
        yield live


def add_newer(artifacts: Artifacts, *names: str) -> None:
    """Add sessions that are newer than all others, each of some words and no recording."""
    for name in names:
        for tree in ("tts", "waves"):
            path = artifacts.sessions(tree) / name / "session.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")


def gone(artifacts: Artifacts, *names: str, trees: tuple[str, ...] = ("tts", "waves")) -> bool:
    """Tell whether sessions are in none of `trees`."""
    return not any((artifacts.sessions(tree) / name).exists() for tree in trees for name in names)


def until_unlinked(artifacts: Artifacts) -> None:
    """Wait until what has gone is unlinked, too: that follows the rename."""
    until(lambda: not any((artifacts.root / ".trash").glob("*")), "the trash is empty")


def wait_for_a_look(artifacts: Artifacts, name: str, tree: Tree = "tts") -> None:
    """Wait until retention has looked once more: for it to remove a session as old as can be."""
    draft = artifacts.temporary / name
    draft.mkdir()
    (draft / "session.json").write_text("{}")
    os.utime(draft / "session.json", (1, 1))
    artifacts.sessions(tree).mkdir(parents=True, exist_ok=True)
    draft.rename(artifacts.sessions(tree) / name)
    until(lambda: gone(artifacts, name), f"{name} is removed")
