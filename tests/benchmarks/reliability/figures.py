"""What a figure is, and what the modules that measure one share."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import numpy as np
import soundfile as sf

from backend.plugins import Host
from backend.signals import TtsWritten
from backend.storage import Artifacts
from plugins.waves.plugin import lifespan
from plugins.waves.settings import WavesSettings
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed, waves_written
from tests.speech import LONG_LINES, speak

SEED = 20261122
LIMIT_S = 300.0
SESSION_ID = "20261122T000000Z-00000000"
SPEECH_RATE = 22_050
Outcome = WavesWritten | WavesFailed


@dataclass(frozen=True)
class Figure:
    """One line of the table; `met` is None where there is no target."""

    figure: str
    target: str
    value: str
    met: bool | None
    n: int
    seed: int | None = None


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of `values`."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


class Outcomes:
    """Every outcome with its time, as the signals tell it."""

    def __init__(self) -> None:
        self.at: dict[Path, float] = {}
        self.reasons: dict[Path, str] = {}
        self._arrived = asyncio.Event()

    def __call__(self, sender: object, *, event: Outcome) -> None:
        """Take one down."""
        path = event.source.wav_path
        self.at[path] = perf_counter()
        self.reasons[path] = event.reason if isinstance(event, WavesFailed) else ""
        self._arrived.set()

    async def wait_for(self, paths: Iterable[Path]) -> None:
        """Wait until every one of `paths` has its outcome."""
        wanted = set(paths)
        async with asyncio.timeout(LIMIT_S):
            while not wanted <= self.at.keys():
                self._arrived.clear()
                await self._arrived.wait()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to both outcomes."""
        with waves_written.connected_to(self), waves_failed.connected_to(self):
            yield


@asynccontextmanager
async def waves(root: Path, wait_for: str = "ok", **settings: int) -> AsyncIterator[Outcomes]:
    """Run the plugin; go on once it reports the state `wait_for`."""
    loop, reached = asyncio.get_running_loop(), asyncio.Event()

    def report(state: str, reason: str) -> None:
        if state == wait_for:
            loop.call_soon_threadsafe(reached.set)

    outcomes = Outcomes()
    chosen = WavesSettings.model_validate(settings)
    async with lifespan(Host(Artifacts(root), report), chosen):
        with outcomes.listening():
            await asyncio.wait_for(reached.wait(), LIMIT_S)
            yield outcomes


def event_of(path: Path, root: Path, turn: int = 1) -> TtsWritten:
    """Return what the workflow would say about `path`."""
    audio = path.relative_to(root).as_posix()
    now = datetime.now(UTC)
    return TtsWritten(
        path.parent.parent.name, turn, "response", 1, "gpt", "calm", None, path, audio, now
    )


def turn_directory(root: Path, session_id: str = SESSION_ID) -> Path:
    """Return the directory of a session's first turn, made."""
    directory = Artifacts(root).turn("tts", session_id, 1)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def utterance_of(directory: Path, seconds: float) -> Path:
    """Return a real utterance cut to `seconds`."""
    spoken = speak(directory, LONG_LINES[1:2])
    path = directory / "utterance.wav"
    y, sr = sf.read(next(iter(spoken.values())), dtype="int16")
    sf.write(path, np.resize(y, int(seconds * sr)), sr)
    return path


def copies(source: Path, directory: Path, count: int, prefix: str = "u") -> list[Path]:
    """Return `count` names of a recording; a link is a file like any other."""
    paths = [directory / f"{prefix}-{number}.wav" for number in range(count)]
    for path in paths:
        path.hardlink_to(source)
    return paths
