"""What measuring the disk costs: `uv run python -m tests.benchmarks.disk [SESSIONS]`.

A tree of that many sessions of six slots, 72 files each, is made in a temporary folder; then it is
measured as the metrics plugin does it, while a bystander on the event loop is timed.
"""

import asyncio
import sys
import tempfile
import threading
from pathlib import Path
from statistics import quantiles
from time import monotonic, perf_counter, thread_time
from typing import Any

from rich.console import Console
from rich.table import Table

from backend.storage import Artifacts
from plugins.metrics.disk import Usage, measure

SESSIONS = 10_000
SLOTS, TURNS, WAVES = 6, 3, 3
TICK_S = 0.001


def fill(artifacts: Artifacts, sessions: int) -> None:
    for number in range(sessions):
        session_id = f"20261122T000000Z-{number:08x}"
        for turn in range(1, TURNS + 1):
            for tree, per_slot in (("tts", 1), ("waves", WAVES)):
                directory = artifacts.turn(tree, session_id, turn)
                directory.mkdir(parents=True)
                for index in range(SLOTS * per_slot):
                    (directory / f"slot-{index}.wav").write_bytes(b"RIFF")


async def lags_ms(until: asyncio.Future[Any] | None, count: int) -> list[float]:
    """Time how late a sleep of one tick ends, while `until` is not done or `count` times."""
    lags: list[float] = []
    while (until is None or not until.done()) and len(lags) < count:
        started = perf_counter()
        await asyncio.sleep(TICK_S)
        lags.append((perf_counter() - started - TICK_S) * 1000)
    return lags


async def measured(artifacts: Artifacts) -> tuple[Usage, float, list[float], list[float]]:
    """Measure once; return what is there, the work it took, and the bystander's lags."""
    alone = await lags_ms(None, 2000)
    work = 0.0

    def run() -> Usage:
        nonlocal work
        started = thread_time()
        usage = measure(artifacts, threading.Event())
        work = thread_time() - started
        assert usage is not None
        return usage

    measuring = asyncio.ensure_future(asyncio.to_thread(run))
    beside = await lags_ms(measuring, 1_000_000)
    return await measuring, work, alone, beside


def show(sessions: int, usage: Usage, work: float, alone: list[float], beside: list[float]) -> None:
    took = usage.ended - usage.started
    table = Table("Figure", "Value", "n", title=f"{sessions} sessions")
    table.add_row("files", str(sum(usage.files.values())), "1")
    table.add_row("measured in", f"{took:.1f} s", "1")
    table.add_row("work for it", f"{work:.2f} s, {work / took:.0%} of a core", "1")
    for name, lags in (("alone", alone), ("beside it", beside)):
        cuts = quantiles(lags, n=100, method="inclusive")
        table.add_row(
            f"lag of the loop {name}",
            f"p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms",
            str(len(lags)),
        )
    Console().print(table)


def main() -> None:
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else SESSIONS
    with tempfile.TemporaryDirectory() as directory:
        artifacts = Artifacts(Path(directory))
        started = monotonic()
        fill(artifacts, sessions)
        print(f"made in {monotonic() - started:.0f} s", file=sys.stderr)
        usage, work, alone, beside = asyncio.run(measured(artifacts))
        show(sessions, usage, work, alone, beside)


if __name__ == "__main__":
    main()
