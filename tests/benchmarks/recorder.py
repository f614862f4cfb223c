"""What the bus's memory costs: `uv run python -m tests.benchmarks.recorder`.

(a) The time of `emit(tts_written)` within a session, with the recorder on and off in turns.
(b) The bytes that are recorded of a session of six slots with its waves.
(c) How far each signal of those sessions, replayed at speed 1, is from its recorded time.
(d) How long switching each plugin off and on takes.
"""

import asyncio
import gc
import os
import platform
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from backend.config import Settings
from backend.logs import configure_logging
from backend.runtime import Hosting
from backend.signals import EventPublished, Signal, connecting, emit, event_published, tts_written
from backend.tracking import recorded_sessions, recording_path
from plugins.recorder.replays import Replays
from tests import installed
from tests.benchmarks.bus import BURST, UTTERANCES_PER_SESSION, plugins_on, session_ms
from tests.benchmarks.readiness import all_ready
from tests.benchmarks.reliability.figures import percentile
from tests.simulated import spoken

BLOCK = 1000
BLOCKS = 10
SESSIONS = 12
SWITCHES = 20
NEAR_MS = 5.0


async def emit_times_us(root: Path) -> dict[str, list[float]]:
    """Time emits in blocks with the recorder and without any plugin, in turns."""
    times: dict[str, list[float]] = {"off": [], "on": []}
    for block in range(BLOCKS):
        for name, names in (("off", ()), ("on", ("recorder",))):
            async with plugins_on(root, *names):
                for number in range(BLOCK):
                    session_id = (
                        f"20261122T000000Z-{block:04x}{number // UTTERANCES_PER_SESSION:04x}"
                    )
                    if number % UTTERANCES_PER_SESSION == 0:
                        first = EventPublished(session_id, 1, "session.start", "{}")
                        emit(event_published, None, first)
                    event = spoken(session_id, 1, 1, root=root)
                    started = perf_counter()
                    emit(tts_written, None, event)
                    times[name].append((perf_counter() - started) * 1e6)
                    if number % BURST == 0:
                        await asyncio.sleep(0.01)
    return times


async def sessions_recorded(hosting: Hosting) -> list[Path]:
    """Run sessions, one at a time, each until its waves are recorded; return their files."""
    files: list[Path] = []
    for number in range(1, SESSIONS + 1):
        await session_ms(hosting)
        while len(files) < number or any(map(_lacks_waves, files)):
            await asyncio.sleep(0.05)
            ids = recorded_sessions(hosting.artifacts)
            files = [recording_path(hosting.artifacts, session_id) for session_id in ids]
    return files


def _lacks_waves(file: Path) -> bool:
    content = file.read_bytes()
    names = (b'"session_finished"', b'"signal":"tts_written"', b'"signal":"waves_')
    finished, spoken, ended = map(content.count, names)
    return not finished or ended < spoken


class Arrivals:
    """Receives as the plugin `show` does, and notes when."""

    def __init__(self) -> None:
        self.came: list[tuple[Signal[Any], float]] = []

    def receive(self, signal: Signal[Any], _: object, *, event: object) -> None:
        self.came.append((signal, monotonic()))


async def replay_offsets_ms(hosting: Hosting) -> list[float]:
    """Replay each session to the plugins that present; return how late each signal is."""
    replays: Replays = hosting.board.service("recorder")
    offsets: list[float] = []
    for session_id in list(recorded_sessions(hosting.artifacts)):
        recording = replays.read(session_id)
        recorded = recording.signals
        arrivals = Arrivals()
        with ExitStack() as stack, connecting(1, "show"):
            for signal in {one.signal for one in recorded}:
                stack.enter_context(signal.connected_to(partial(arrivals.receive, signal)))
            replay = replays.start(recording)
            assert replay.task is not None
            await replay.task
        assert [one.signal for one in recorded] == [signal for signal, _ in arrivals.came]
        began_at = arrivals.came[0][1] - recorded[0].at_s
        for one, (_, at) in zip(recorded, arrivals.came, strict=True):
            offsets.append((at - began_at - one.at_s) * 1000)
    return offsets


async def switch_times_ms(hosting: Hosting) -> dict[str, list[float]]:
    """Time switching each plugin off and on."""
    times: dict[str, list[float]] = {}
    switches = hosting.switches
    assert switches is not None
    for name in installed.NAMES:
        for _ in range(SWITCHES):
            for enabled in (False, True):
                started = perf_counter()
                status = await switches.switch(name, enabled=enabled)
                took_ms = (perf_counter() - started) * 1000
                assert status.state in ({"ok", "warming", "degraded"} if enabled else {"disabled"})
                times.setdefault(f"{name} {'on' if enabled else 'off'}", []).append(took_ms)
        await all_ready(hosting.board)
    return times


async def measured(root: Path) -> list[tuple[str, str, list[float]]]:
    """Return each figure with its unit and values."""
    rows = [
        (f"emit(tts_written), recorder {name}", "us", values)
        for name, values in (await emit_times_us(root / "emit")).items()
    ]
    os.environ.update(installed.switches(*installed.NAMES))
    hosting = Hosting(Settings.load(artifacts_dir=root / "sessions"))
    async with hosting.running():
        await all_ready(hosting.board)
        files = await sessions_recorded(hosting)
        rows.append(("bytes a session", "B", [path.stat().st_size for path in files]))
        gc.collect()
        offsets = await replay_offsets_ms(hosting)
        rows.append(("replay, behind the recorded time", "ms", offsets))
        times = await switch_times_ms(hosting)
        rows += [(f"switching {name}", "ms", values) for name, values in times.items()]
    return rows


def main() -> None:
    configure_logging("critical")
    with tempfile.TemporaryDirectory() as directory:
        rows = asyncio.run(measured(Path(directory)))
    machine = f"{platform.platform()}, Python {platform.python_version()}"
    table = Table("Figure", "p50", "p95", "p99", "max", "within 5 ms", "n", title=machine)
    for figure, unit, values in rows:
        cuts = [percentile(values, percent) for percent in (50, 95, 99)]
        near = f"{sum(abs(one) <= NEAR_MS for one in values)}" if "replay" in figure else ""
        numbers = [*cuts, max(values)]
        table.add_row(figure, *(f"{one:.1f} {unit}" for one in numbers), near, str(len(values)))
    Console().print(table)


if __name__ == "__main__":
    main()
