"""What the bus costs a visitor: `uv run python -m tests.benchmarks.bus [--json]`.

(a) The time of `emit(tts_written)` with the waves plugin subscribed, idle and with its queue full.
(b) The time from the start of a session to each of its `slot.audio` events, with the plugin on and
    off, in blocks that take turns so that both see the same machine.
"""

import argparse
import asyncio
import json
import platform
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from backend.agents import Slot
from backend.artifacts import Artifacts
from backend.config import Settings
from backend.events import SlotAudio
from backend.host import Hosting
from backend.logs import configure_logging
from backend.plugins import Board, discover, enabled, running
from backend.signals import TtsWritten, emit, tts_written

EMITS = 10_000
SESSIONS = 20
BLOCK = 5
EVENT = TtsWritten(
    session_id="20261122T000000Z-00000000",
    turn_index=1,
    kind="response",
    slot_id=1,
    agent_id="gpt-4o",
    voice_profile="calm_soothing",
    target_slot_id=None,
    wav_path=Path("missing.wav"),
    audio_path="tts/missing.wav",
    written_at=datetime.now(UTC),
)


def p50_p99(values: list[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


@asynccontextmanager
async def waves_on(root: Path) -> AsyncIterator[None]:
    board = Board()
    chosen = enabled(discover(), board)
    async with running(chosen, board, Artifacts(root)):
        yield


async def emit_times_us(root: Path) -> dict[str, list[float]]:
    """Time each emit with no plugin, then with the plugin: one at a time, then without a pause."""

    def timed(number: int) -> float:
        path = root / "tts" / "sessions" / EVENT.session_id / "turn_1" / f"{number}.wav"
        event = replace(EVENT, wav_path=path)
        started = perf_counter()
        emit(tts_written, None, event)
        return (perf_counter() - started) * 1e6

    times = {"no plugin": [timed(number) for number in range(EMITS)]}
    async with waves_on(root):
        times["plugin on, queue full"] = [timed(number) for number in range(EMITS)]
    async with waves_on(root):
        paced = []
        for number in range(EMITS):
            paced.append(timed(number))
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        times["plugin on, as jobs end"] = paced
    return times


async def audio_times_ms(root: Path) -> dict[str, list[float]]:
    """Time every `slot.audio` of sessions, in blocks with the plugin off and on in turns."""
    times: dict[str, list[float]] = {"off": [], "on": []}
    for _ in range(SESSIONS // BLOCK):
        for name, discovered in (("off", []), ("on", discover())):
            hosting = Hosting(Settings.load(artifacts_dir=root), discovered)
            async with hosting.running():
                await session_ms(hosting)
                # a benchmark may poll: the plugin reports its state to nobody else
                while any(status.state == "warming" for _, status in hosting.board):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                for _ in range(BLOCK):
                    times[name] += await session_ms(hosting)
    return times


async def session_ms(hosting: Hosting) -> list[float]:
    """Run one session; return when each `slot.audio` came."""
    slots = [Slot(number, agent.id) for number, agent in enumerate(hosting.registry, start=1)]
    started = perf_counter()
    stream = hosting.runner.start("What does the water remember?", slots)
    return [
        (perf_counter() - started) * 1000
        async for _, event in stream.read()
        if isinstance(event, SlotAudio)
    ]


def measure() -> dict[str, Any]:
    configure_logging("error")
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        emits = asyncio.run(emit_times_us(root / "emit"))
        audio = asyncio.run(audio_times_ms(root))
    rows = []
    for name, values in emits.items():
        p50, p99 = p50_p99(values)
        rows.append(
            {"figure": f"emit, {name}", "unit": "us", "p50": p50, "p99": p99, "n": len(values)}
        )
    for name, values in audio.items():
        p50, p99 = p50_p99(values)
        figure = f"start of session to slot.audio, waves {name}"
        rows.append({"figure": figure, "unit": "ms", "p50": p50, "p99": p99, "n": len(values)})
    return {"machine": f"{platform.platform()}, Python {platform.python_version()}", "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    result = measure()
    if asked.json:
        print(json.dumps(result, indent=2))
        return
    table = Table("Figure", "p50", "p99", "n", title=result["machine"])
    for row in result["rows"]:
        unit = row["unit"]
        table.add_row(
            row["figure"], f"{row['p50']:.1f} {unit}", f"{row['p99']:.1f} {unit}", str(row["n"])
        )
    Console().print(table)


if __name__ == "__main__":
    main()
