"""Servers and machines of a farm for tests, and the jobs they are asked for."""

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from plugins.waves import worker
from plugins.waves.plugin import create_pool
from plugins.waves.pool import Outcome, Pool
from plugins.waves.settings import WavesSettings
from tests.patience import LIMIT_S, until
from tests.plugins.waves.farm import tasks
from tests.readme import ROOT

SR = 22_050


def recording(path: Path, end: bytes = b"", seconds: float = 0.5, hz: float = 150.0) -> Path:
    """Write a tone; `end` follows the samples, where a reader does not look."""
    buffer = io.BytesIO()
    times = np.arange(round(SR * seconds)) / SR
    sf.write(buffer, 0.3 * np.sin(2 * np.pi * hz * times), SR, format="WAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue() + end)
    return path


class Asked:
    """One recording whose waves are asked for, and every outcome it got."""

    def __init__(self, path: Path, profiles: tuple[str, ...] = ("v3",)) -> None:
        self.path = str(path)
        self.directory = path.parent / "waves"
        settings = WavesSettings()
        self.profiles = tuple((name, settings.of_profile(name)) for name in profiles)
        self.outcomes: list[Outcome] = []
        self._ended = threading.Event()

    def begin(self, queued_ms: float) -> worker.Order:
        temporary = str(self.directory.parent / ".tmp")
        return worker.Order(
            self.path, str(self.directory), temporary, None, 600, "exact", profiles=self.profiles
        )

    def end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._ended.set()

    def outcome(self) -> Outcome:
        """Wait for the outcome, the only one."""
        assert self._ended.wait(LIMIT_S), f"{self.path} did not end"
        (outcome,) = self.outcomes
        return outcome

    def made(self) -> str:
        """Wait for success; return which machine of the farm made the waves, "" for none."""
        outcome = self.outcome()
        assert ("", "") == (outcome.reason, outcome.message)
        sets: Any = outcome.report.data["sets"]
        assert all(
            Path(path).stat().st_size == size for one in sets for path, size, *_ in one["files"]
        )
        return str(outcome.report.data.get("machine", ""))


def check_used(
    folder: Path, pool: Pool, profiles: tuple[str, ...] = ("v3",), seconds: float = 0.5
) -> Asked:
    """Return a job that the farm did: a busy computer may do some in its place for a while."""
    for number in range(100):
        until(lambda: pool.is_elsewhere, "a farm that is used")
        asked = Asked(recording(folder / f"used{number}.wav", seconds=seconds), profiles)
        pool.submit(asked)
        if asked.made():
            return asked
    raise AssertionError("the farm is not used")


@contextmanager
def serving(url: str, folder: Path, *, wait: bool = True, **settings: Any) -> Iterator[Pool]:
    """Run a pool that uses the farm; `wait` until it does."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = WavesSettings(farm=url, max_workers=1, **settings)
    pool = create_pool(chosen, folder / ".tmp", lambda *_: None, low_priority=False)
    with pool:
        if wait:
            until(lambda: pool.is_elsewhere, "a farm that is used")
        yield pool


@contextmanager
def machine_here(url: str, **options: Any) -> Iterator[None]:
    """Run a machine of the farm on a thread of this process."""
    started = threading.Event()
    stop: list[Any] = []

    async def main() -> None:
        one = tasks.machine(url, **options)
        stop.extend([asyncio.get_running_loop(), one.stop])
        started.set()
        await one.run()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(LIMIT_S)
    try:
        yield
    finally:
        stop[0].call_soon_threadsafe(stop[1])
        thread.join(LIMIT_S)


@contextmanager
def machine_process(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a machine of the farm as a process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.plugins.waves.farm.tasks", url], cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(LIMIT_S)
