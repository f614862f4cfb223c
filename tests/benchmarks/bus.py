"""What the bus costs a visitor: `uv run python -m tests.benchmarks.bus [--json]`.

Measured with whichever plugins are installed, all of them switched on, and with none:

(a) The time of `emit(tts_written)` with six receivers that do nothing, without a plugin, with each
    alone, and with all of them, one at a time and with the waves' queue full; and of
    `emit(event_published)` without and with all.
(b) The time from the start of a session to each of its `slot.audio` events, with all plugins and
    with none, in blocks that take turns so that both see the same machine.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from backend.agents import Slot
from backend.config import Settings
from backend.logs import configure_logging
from backend.plugins import PluginStatuses, discover, enabled, running
from backend.runtime import Hosting
from backend.sessions import SlotAudio
from backend.signals import EventPublished, TtsWritten, emit, event_published, tts_written
from backend.storage import Artifacts
from tests import installed
from tests.benchmarks.readiness import all_ready

EMITS = 10_000
RECEIVERS = 6
BURST = 50
UTTERANCES_PER_SESSION = 18
EVENTS_PER_SESSION = 60
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
async def plugins_on(root: Path, *names: str) -> AsyncIterator[None]:
    os.environ.update(installed.switches(*names))
    board = PluginStatuses()
    chosen = enabled(discover(), board)
    async with running(chosen, board, Artifacts(root)):
        await all_ready(board)
        gc.collect()
        yield


async def emit_times_us(root: Path) -> dict[str, list[float]]:
    """Time emits of both signals: with no plugin, each, and all of them."""

    def utterance(number: int) -> float:
        session_id = f"20261122T000000Z-{number // UTTERANCES_PER_SESSION:08x}"
        path = root / "tts" / "sessions" / session_id / "turn_1" / f"{number}.wav"
        str(path)  # kept by the path; a recording's is made when it is written
        event = replace(EVENT, session_id=session_id, wav_path=path, audio_path=f"tts/{number}.wav")
        started = perf_counter()
        emit(tts_written, None, event)
        return (perf_counter() - started) * 1e6

    def published(number: int) -> float:
        session, position = divmod(number, EVENTS_PER_SESSION)
        session_id = f"20261122T000000Z-{session:08x}"
        name = "slot.done" if position + 1 < EVENTS_PER_SESSION else "done"
        event = EventPublished(session_id, position + 1, name, f'{{"sessionId": "{session_id}"}}')
        started = perf_counter()
        emit(event_published, None, event)
        return (perf_counter() - started) * 1e6

    async def paced(emit_one: Callable[[int], float]) -> list[float]:
        times = []
        for number in range(EMITS):
            times.append(emit_one(number))
            if number % BURST == 0:
                await asyncio.sleep(0.01)
        return times

    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        for _ in range(RECEIVERS):
            stack.enter_context(tts_written.connected_to(lambda _, *, event: None))
        times[f"tts_written, {RECEIVERS} receivers that do nothing"] = await paced(utterance)
    for names in ((), *((name,) for name in installed.NAMES), installed.NAMES):
        who = "all plugins" if names is installed.NAMES else " ".join(names) or "no plugin"
        async with plugins_on(root, *names):
            times[f"tts_written, {who}"] = await paced(utterance)
    async with plugins_on(root, *installed.NAMES):
        times["tts_written, all plugins, queue full"] = [utterance(n) for n in range(EMITS)]
    for names in ((), installed.NAMES):
        async with plugins_on(root, *names):
            who = "all plugins" if names else "no plugin"
            times[f"event_published, {who}"] = await paced(published)
    return times


async def audio_times_ms(root: Path) -> dict[str, list[float]]:
    """Time every `slot.audio` of sessions, in blocks with no plugin and all of them in turns."""
    times: dict[str, list[float]] = {"no plugin": [], "all plugins": []}
    for _ in range(SESSIONS // BLOCK):
        for name, names in (("no plugin", ()), ("all plugins", installed.NAMES)):
            os.environ.update(installed.switches(*names))
            hosting = Hosting(Settings.load(artifacts_dir=root))
            async with hosting.running():
                await session_ms(hosting)
                await all_ready(hosting.board)
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
    configure_logging("critical")  # the recordings do not exist, and every worker says so
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        emits = asyncio.run(emit_times_us(root / "emit"))
        audio = asyncio.run(audio_times_ms(root))
    rows = []
    for name, values in emits.items():
        p50, p99 = p50_p99(values)
        rows.append(
            {"figure": f"emit({name})", "unit": "us", "p50": p50, "p99": p99, "n": len(values)}
        )
    for name, values in audio.items():
        p50, p99 = p50_p99(values)
        figure = f"start of session to slot.audio, {name}"
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
