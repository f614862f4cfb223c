"""What visitors notice of the waves when the machine has nothing to spare.

The delay of `slot.audio` is the time from its WAV being written to a reader having the event, which
has to follow at once whoever else subscribes. Beside it stands how long a visitor waits in all,
agents and voices included: these share the cores with the workers as with everything else.
"""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import pytest

from backend import scheduling as timeslice
from backend.agents import Slot
from backend.config import Settings
from backend.plugins import discover
from backend.runtime import Hosting
from backend.sessions import SlotAudio, SlotError
from backend.signals import emit, tts_written
from backend.speech import Spoken
from backend.speech.children import EmbeddedEngine
from tests.benchmarks.readiness import all_ready
from tests.benchmarks.reliability import figures
from tests.benchmarks.reliability.figures import SEED, Figure

BLOCKS, SESSIONS_A_BLOCK = 7, 6
CORES = 2
LAG_STEP_S = 0.002
LAGS = 2_000
RECORDINGS, SECONDS, A_SESSION = 198, 60, 18
QUESTION = "What does the water remember?"


def measure(folder: Path) -> list[Figure]:
    """Measure the delay of `slot.audio` and the lag of the event loop.

    The lag first: what a saturated machine leaves to be done would go into it.
    """
    lag = loop_lag(folder / "lag")
    return [*slot_audio(folder / "delay"), *lag]


@dataclass(slots=True)
class Measured:
    """Times of each `slot.audio` in milliseconds, and how many sessions failed."""

    after_wav_ms: list[float] = field(default_factory=list)
    after_start_ms: list[float] = field(default_factory=list)
    failed: int = 0

    def add(self, other: "Measured") -> None:
        """Take what another block measured."""
        self.after_wav_ms += other.after_wav_ms
        self.after_start_ms += other.after_start_ms
        self.failed += other.failed


def slot_audio(folder: Path) -> list[Figure]:
    """Run the same sessions with the plugin on and off, in blocks that take turns."""
    off, on = Measured(), Measured()
    with saturated(), noting_when_written() as written:
        for block in range(BLOCKS):
            for sums in (off, on) if block % 2 else (on, off):
                root = folder / f"{block}-{'on' if sums is on else 'off'}"
                sums.add(asyncio.run(sessions(root, sums is on, written)))
    figure = "slot.audio delay, plugin on minus off, both cores saturated"
    n, runs = len(on.after_wav_ms), 2 * BLOCKS * (1 + SESSIONS_A_BLOCK)
    delay_ms, value = difference(on.after_wav_ms, off.after_wav_ms)
    met = delay_ms <= max(5, figures.percentile(off.after_wav_ms, 99) / 100)
    _, waiting = difference(on.after_start_ms, off.after_start_ms)
    failed = off.failed + on.failed
    return [
        Figure(figure, "p99 <= 5 ms or 1 %", value, met, n, SEED),
        Figure(
            "the same from the session's start, agents and voices included", "", waiting, None, n
        ),
        Figure("failed workflows meanwhile", "0", str(failed), failed == 0, runs, SEED),
    ]


def difference(on: list[float], off: list[float]) -> tuple[float, str]:
    """Return the difference of the 99th percentiles, and it in words."""
    p50, p99 = ([figures.percentile(times, p) for times in (on, off)] for p in (50, 99))
    delay = p99[0] - p99[1]
    words = f"p99 {delay:+.1f} ms ({p99[0]:.1f} - {p99[1]:.1f}), p50 {p50[0] - p50[1]:+.1f} ms"
    return delay, words


@contextmanager
def noting_when_written() -> Iterator[dict[str, float]]:
    """Note for each WAV when the embedded voice has written it, by path."""
    written: dict[str, float] = {}
    speak = EmbeddedEngine.generate_wav_to_file

    def noting(engine: EmbeddedEngine, text: str, voice_profile: str, path: Path) -> Spoken:
        spoken = speak(engine, text, voice_profile, path)
        written[str(path)] = perf_counter()
        return spoken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbeddedEngine, "generate_wav_to_file", noting)
        yield written


async def sessions(root: Path, on: bool, written: dict[str, float]) -> Measured:
    """Run a block of sessions, and measure each `slot.audio`.

    The first session of a server is not counted: what a start leaves to do goes on beside it.
    """
    hosting = Hosting(Settings.load(artifacts_dir=root, seed=SEED), discover() if on else [])
    slots = [Slot(number, agent.id) for number, agent in enumerate(hosting.registry, start=1)]
    measured = Measured()
    async with hosting.running():
        await all_ready(hosting.board)
        for number in range(1 + SESSIONS_A_BLOCK):
            started = perf_counter()
            events = [
                (perf_counter(), event)
                async for _, event in hosting.runner.start(QUESTION, slots).read()
            ]
            for at, event in events if number else ():
                if isinstance(event, SlotAudio):
                    wav = written[str(hosting.artifacts.root / event.audio_path)]
                    measured.after_wav_ms.append((at - wav) * 1000)
                    measured.after_start_ms.append((at - started) * 1000)
            whole = events[-1][1].name == "done"
            measured.failed += not whole or any(isinstance(event, SlotError) for _, event in events)
    return measured


def loop_lag(folder: Path) -> list[Figure]:
    """Measure how late a timer is: here, and in a bystander process that has nothing to do."""
    with timeslice.shortened():  # as in the host; the bystander has ordinary ones
        idle, busy, bystander = asyncio.run(lags_ms(folder))
    p99 = figures.percentile(busy, 99)
    value = (
        f"p99 {p99:.2f} ms (bystander meanwhile: {figures.percentile(bystander, 99):.2f} ms, "
        f"idle before: {figures.percentile(idle, 99):.2f} ms)"
    )
    return [Figure("event loop lag, both workers busy", "p99 <= 2 ms", value, p99 <= 2, len(busy))]


async def lags_ms(root: Path) -> tuple[list[float], list[float], list[float]]:
    """Return the lags beside idle and beside busy workers, and a bystander's beside the latter."""
    source = figures.utterance_of(root / "speech", SECONDS)
    context = multiprocessing.get_context("spawn")
    async with figures.waves(root, queue_max_size=RECORDINGS) as outcomes:
        idle = [await lag_ms() for _ in range(LAGS)]
        work = [
            path
            for number in range(RECORDINGS // A_SESSION)
            for path in figures.copies(
                source, figures.turn_directory(root, f"session-{number}"), A_SESSION
            )
        ]
        with context.Pool(1) as pool:
            pool.apply(stand_by, (1,))
            for path in work:
                emit(tts_written, None, figures.event_of(path, root))
            watched = pool.apply_async(stand_by, (LAGS,))
            busy = [await lag_ms() for _ in range(LAGS)]
            assert len(outcomes.at) < len(work) - CORES, "the workers had nothing left to do"
            bystander = await asyncio.to_thread(watched.get, figures.LIMIT_S)
    return idle, busy, bystander


def stand_by(count: int) -> list[float]:
    """Measure the lag of an event loop with nothing else on it."""

    async def measure_lags() -> list[float]:
        return [await lag_ms() for _ in range(count)]

    return asyncio.run(measure_lags())


async def lag_ms() -> float:
    started = perf_counter()
    await asyncio.sleep(LAG_STEP_S)
    return (perf_counter() - started - LAG_STEP_S) * 1000


@contextmanager
def saturated() -> Iterator[None]:
    """Keep both cores busy with processes of ordinary priority."""
    context = multiprocessing.get_context("spawn")
    burners = [context.Process(target=burn, daemon=True) for _ in range(CORES)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


def burn() -> None:
    """Use one core."""
    while True:
        pass
