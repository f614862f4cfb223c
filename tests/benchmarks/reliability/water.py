"""How long the water waits: from `tts_written` to `waves_written`, six utterances at once."""

import asyncio
from pathlib import Path
from time import perf_counter

from backend.signals import emit, tts_written
from tests.benchmarks.reliability import figures
from tests.benchmarks.reliability.figures import Figure

ROUNDS = 50
AT_ONCE = 6
SECONDS = 5.0


def measure(folder: Path) -> list[Figure]:
    """Measure six utterances of five seconds at once, on two lanes."""
    times = asyncio.run(round_trips_ms(folder))
    p50, p99 = figures.percentile(times, 50), figures.percentile(times, 99)
    value = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
    figure = "tts_written to three files, six of 5 s at once"
    return [Figure(figure, "p99 <= 100 ms", value, p99 <= 100, len(times))]


async def round_trips_ms(root: Path) -> list[float]:
    """Return how long each utterance took from its signal to the outcome's."""
    source = figures.utterance_of(root / "speech", SECONDS)
    times: list[float] = []
    async with figures.waves(root) as outcomes:
        for number in range(-1, ROUNDS):  # the first is not counted
            turn = figures.turn_directory(root, f"session-{number}")
            paths = figures.copies(source, turn, AT_ONCE)
            sent = {}
            for path in paths:
                sent[path] = perf_counter()
                emit(tts_written, None, figures.event_of(path, root))
            await outcomes.wait_for(paths)
            if number >= 0:
                times += [(outcomes.at[path] - sent[path]) * 1000 for path in paths]
    return times
