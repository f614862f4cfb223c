"""The disk is measured off the loop, once at a time, and no more often than it is worth."""

import asyncio
import threading
from pathlib import Path
from time import monotonic

import pytest
from structlog.testing import capture_logs

from backend.storage import Artifacts
from plugins.metrics import disk
from plugins.metrics.disk import DiskUsage, Usage, measure
from tests.patience import LIMIT_S


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Return a root with two files of speech and one of waves."""
    for name, size in (("tts/a/b/1.wav", 100), ("tts/a/session.json", 20), ("waves/c/2.wav", 3)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return Artifacts(tmp_path)


def test_the_files_of_each_tree_are_added_up(artifacts: Artifacts) -> None:
    """Everything below a tree counts, and nothing that a link points to."""
    (artifacts.root / "waves/link").symlink_to(artifacts.root / "tts")

    usage = measure(artifacts, threading.Event())

    assert usage is not None
    link = (artifacts.root / "waves/link").lstat().st_size
    assert {"tts": 120, "waves": 3 + link, "stt": 0} == usage.bytes
    assert {"tts": 2, "waves": 2, "stt": 0} == usage.files


def test_without_artifacts_there_is_nothing(tmp_path: Path) -> None:
    """A root that does not exist yet takes no room."""
    usage = measure(Artifacts(tmp_path / "none"), threading.Event())

    assert usage is not None
    assert {"tts": 0, "waves": 0, "stt": 0} == usage.bytes


def test_a_measurement_ends_when_it_is_told_to(artifacts: Artifacts) -> None:
    """Half a measurement is none."""
    ended = threading.Event()
    ended.set()

    assert measure(artifacts, ended) is None


class Slow:
    """Stands in for `measure`: waits until it may go on."""

    def __init__(self) -> None:
        self.calls = 0
        self.go_on = threading.Event()

    def __call__(self, _: Artifacts, __: threading.Event) -> Usage:
        self.calls += 1
        assert self.go_on.wait(LIMIT_S)
        return Usage({"tts": 1}, {"tts": 1}, 0.0, monotonic())


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Return the disk as it is with a slow measurement."""
    slow = Slow()
    monkeypatch.setattr(disk, "measure", slow)
    monkeypatch.setattr(disk, "WAIT_S", 0.01)
    return slow


async def test_who_asks_waits_a_bounded_time_for_one_measurement(
    artifacts: Artifacts, slow: Slow
) -> None:
    """While it is measured, those who ask get what there is, and nothing is begun twice."""
    usage = DiskUsage(artifacts)

    await asyncio.gather(*(usage.refresh() for _ in range(5)))
    meanwhile = usage.usage
    slow.go_on.set()
    while usage.usage is None:
        await usage.refresh()

    assert meanwhile is None
    assert 1 == slow.calls
    await usage.aclose()


async def test_a_measurement_that_was_dear_is_good_for_long(
    artifacts: Artifacts, slow: Slow
) -> None:
    """What took a minute is kept; what took a moment is measured anew a second later."""
    slow.go_on.set()
    usage = DiskUsage(artifacts)
    now = monotonic()
    dear, cheap = Usage({}, {}, now - 90, now - 30), Usage({}, {}, now - 30.01, now - 30)

    usage.usage = dear
    await usage.refresh()
    kept = usage.usage
    usage.usage = cheap
    while usage.usage is cheap:
        await usage.refresh()

    assert dear is kept
    assert 1 == slow.calls


async def test_a_measurement_that_fails_is_logged(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody expected stands in the log, and the figure stays away."""

    def fails(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(disk, "measure", fails)
    monkeypatch.setattr(disk, "WAIT_S", LIMIT_S)
    usage = DiskUsage(artifacts)

    with capture_logs() as logs:
        await usage.refresh()

    assert usage.usage is None
    assert ["the disk cannot be measured"] == [entry["event"] for entry in logs]
