"""A disk that is nearly full."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from plugins.waves.pool import disk_space as diskspace
from plugins.waves.pool import load
from plugins.waves.pool.disk_space import MEGABYTE, DiskSpace
from tests.patience import LIMIT_S
from tests.plugins.waves.pool.pools import Asked, all_ready, running


class Usage(NamedTuple):
    free: int


class Disk:
    """A disk whose free space a test sets."""

    def __init__(self) -> None:
        self.free_mb = 1000
        self.now = 100.0

    def usage(self, path: object) -> Usage:
        return Usage(self.free_mb * MEGABYTE)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Return the disk everything is on."""
    disk = Disk()
    monkeypatch.setattr(shutil, "disk_usage", disk.usage)
    monkeypatch.setattr(diskspace, "monotonic", lambda: disk.now)
    return disk


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


def test_the_real_disk_is_asked(tmp_path: Path, logs: list[Any]) -> None:
    """The limit is held against the disk of the nearest directory that exists; 0 is no limit."""
    missing = tmp_path / "not" / "yet"

    problems = [DiskSpace(missing, limit).problem() for limit in (0, 1, 10**9)]

    assert ["", ""] == problems[:2]
    assert "less than 1000000000 MB free" in problems[2]
    assert str(missing) in problems[2]
    assert 1 == len(logs)


def test_one_warning_a_minute(disk: Disk, tmp_path: Path, logs: list[Any]) -> None:
    """While it lasts there is one WARNING a minute with the figures, then one that it ended."""
    freed: list[bool] = []
    space = DiskSpace(tmp_path, 200, lambda: freed.append(True))
    disk.free_mb = 12
    for _ in range(125):
        assert space.problem()
        disk.now += 1
    disk.free_mb = 200

    assert [] == freed
    assert "" == space.problem() == space.problem()

    assert [True] == freed
    assert ["warning"] * 3 + ["info"] == [entry["log_level"] for entry in logs]
    assert (12, 200) == (logs[0]["free_mb"], logs[0]["min_free_mb"])


def test_a_disk_that_cannot_be_asked_pauses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the free space cannot be told, the jobs go on and find out."""

    def fail(path: object) -> Usage:
        raise PermissionError

    monkeypatch.setattr(shutil, "disk_usage", fail)

    assert "" == DiskSpace(tmp_path, 200).problem()


@pytest.mark.e2e
@pytest.mark.faults
def test_jobs_wait_for_room_on_the_disk(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F22: with the disk nearly full jobs wait, the queue stays bounded, the pool is degraded and
    has no room for backfill; when there is room again it goes on by itself.
    """
    monkeypatch.setattr(load, "REFUSALS_COUNT_S", 0)
    states: list[tuple[str, str]] = []
    changed = threading.Condition()

    def on_state(state: str, reason: str) -> None:
        with changed:
            states.append((state, reason))
            changed.notify_all()

    def wait_for(state: str) -> None:
        with changed:
            assert changed.wait_for(lambda: states[-1][0] == state, LIMIT_S), states

    space = DiskSpace(tmp_path, 200)
    with running(1, queue_max_size=3, on_state=on_state, pause_reason=space.problem) as pool:
        all_ready(pool, 1)
        disk.free_mb = 12
        wait_for("degraded")
        had_room = pool.has_room_for_backfill
        asked = [Asked(f"{n}.wav", "echo", str(n)) for n in range(6)]
        accepted = [pool.submit(job) for job in asked]
        assert asked[5].outcome().reason == "queue_full"
        begun = [job.begun.is_set() for job in asked]
        disk.free_mb = 1000
        values = [job.value() for job in asked[:4]]
        wait_for("ok")

    assert [True] * 4 + [False] * 2 == accepted
    assert not had_room
    assert [False] * 6 == begun
    assert ["0", "1", "2", "3"] == values
    assert "less than 200 MB free" in next(why for state, why in states if state == "degraded")
