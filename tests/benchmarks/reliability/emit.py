"""What `emit(tts_written)` takes, whatever state the waves plugin is in."""

import asyncio
import gc
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import NoReturn

from backend.signals import TtsWritten, emit, tts_written
from plugins.waves import worker
from tests.benchmarks.reliability import figures
from tests.benchmarks.reliability.figures import Figure
from tests.plugins.waves.pool import tasks as jobs

EMITS = 10_000
BURST = 20
TARGET = "p50 <= 10 us, p99 <= 100 us"


def measure(folder: Path) -> list[Figure]:
    """Measure idle, busy, queue full, pool dead and with a receiver that raises."""
    rows = [
        ("idle", asyncio.run(paced(folder / "idle", raising=False))),
        ("both workers busy", asyncio.run(busy(folder / "busy"))),
        ("queue full", asyncio.run(queue_full(folder / "full"))),
        ("pool dead", asyncio.run(pool_dead(folder / "dead"))),
        ("receiver raising", asyncio.run(paced(folder / "raising", raising=True))),
    ]
    return [figure(name, times) for name, times in rows]


def figure(name: str, times_us: list[float]) -> Figure:
    p50, p99 = figures.percentile(times_us, 50), figures.percentile(times_us, 99)
    met = p50 <= 10 and p99 <= 100
    value = f"p50 {p50:.1f} us, p99 {p99:.1f} us"
    return Figure(f"emit on slot.audio, {name}", TARGET, value, met, len(times_us))


def timed(events: Iterable[TtsWritten]) -> list[float]:
    """Return what each emit took, in microseconds."""
    times = []
    for event in events:
        started = perf_counter()
        emit(tts_written, None, event)
        times.append((perf_counter() - started) * 1e6)
    return times


def missing(root: Path, count: int = EMITS) -> list[TtsWritten]:
    """Return events of recordings that a worker refuses at once."""
    turn = root / "tts/sessions" / figures.SESSION_ID / "turn_1"
    paths = [turn / f"missing-{number}.wav" for number in range(count)]
    for path in paths:
        str(path)  # kept by the path; a recording's is made when it is written
    return [figures.event_of(path, root) for path in paths]


async def paced(root: Path, *, raising: bool) -> list[float]:
    """Emit a few, let the pool come to rest, and so on."""
    times: list[float] = []

    def fail(sender: object, *, event: TtsWritten) -> NoReturn:
        raise RuntimeError("the tide is out")

    async with figures.waves(root) as outcomes:
        events = missing(root)
        with tts_written.connected_to(fail) if raising else nullcontext():
            for start in range(0, EMITS, BURST):
                burst = events[start : start + BURST]
                times += timed(burst)
                await outcomes.wait_for(event.wav_path for event in burst)
    return times


async def busy(root: Path) -> list[float]:
    """Emit while both workers decompose what stands before it in the queue."""
    times: list[float] = []
    source = figures.utterance_of(root / "speech", 60)
    async with figures.waves(root, queue_max_size=10_000) as outcomes:
        work = figures.copies(source, figures.turn_directory(root), 12)
        for path in work:
            emit(tts_written, None, figures.event_of(path, root))
        events = missing(root, 9_000)
        for start in range(0, len(events), BURST):
            times += timed(events[start : start + BURST])
            await asyncio.sleep(0)
        more = missing(root / "tts", EMITS - len(events))  # refused, as the queue is full by then
        times += timed(more)
        assert not set(work) <= outcomes.at.keys(), "the workers had nothing left to do"
    return times


async def queue_full(root: Path) -> list[float]:
    """Emit what is refused: the workers have a minute of speech each, and 128 wait."""
    source = figures.utterance_of(root / "speech", 120)
    async with figures.waves(root) as outcomes:
        work = figures.copies(source, figures.turn_directory(root), 140)
        for path in work:
            emit(tts_written, None, figures.event_of(path, root))
        gc.collect()
        times = timed(missing(root))
        await asyncio.sleep(0)
        assert "queue_full" in outcomes.reasons.values()
    return times


async def pool_dead(root: Path) -> list[float]:
    """Emit while no worker can be started."""
    warm_up = worker.warm_up
    worker.warm_up = jobs.refuse_to_start_like_waves
    try:
        async with figures.waves(root, wait_for="degraded"):
            return timed(missing(root))
    finally:
        worker.warm_up = warm_up
