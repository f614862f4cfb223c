"""What other machines cost and bring: `uv run python -m tests.benchmarks.farm [UTTERANCES]`.

Workers are processes of this computer with one worker process each: with fewer than four cores for
two of them, the server and the NATS server, they take each other's time. What the processors do for
an utterance depends less on that. The last row is reckoned from the others: 16 machines of one
worker, and what then limits them.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

import psutil
from rich.console import Console
from rich.table import Table

from backend.logs import configure_logging
from plugins.waves.plugin import create_pool
from plugins.waves.pool import Pool
from plugins.waves.settings import WavesSettings
from tests.benchmarks.reliability.figures import percentile
from tests.command import Running
from tests.nats_server import NatsServer
from tests.patience import until
from tests.plugins.waves.farm.farms import Asked, recording

SECONDS = 5.0
SINGLE, SESSIONS, SLOTS, WARM = 100, 30, 6, 20
MACHINES = 16
PROCESSES = ("workers", "the server", "NATS", "the machines")


Processes = dict[str, list[psutil.Process]]


@contextmanager
def pools(folder: Path, workers: int, count: int) -> Iterator[tuple[Pool, Processes]]:
    """Run a pool that is warm, of one local worker if `workers` is 0; yield all processes, too."""
    processes: Processes = {name: [] for name in PROCESSES}
    processes["the server"] = [psutil.Process()]
    with ExitStack() as stack:
        url = ""
        if workers:
            folder.mkdir(parents=True, exist_ok=True)
            nats = stack.enter_context(NatsServer(folder))
            url = nats.url
            assert nats.process is not None
            processes["NATS"] = [psutil.Process(nats.process.pid)]
            for _ in range(workers):
                command = ("waves", "worker", url, "--workers", "1")
                machine = stack.enter_context(Running(*command, cwd=folder))
                machine.wait_for("this machine makes waves")
                processes["the machines"].append(psutil.Process(machine.pid))
                processes["workers"] += machine.children
        settings = WavesSettings(farm=url, max_workers=1, queue_max_size=count)
        pool = create_pool(settings, folder / ".tmp", lambda *_: None, low_priority=False)
        stack.enter_context(pool)
        until(lambda: bool(pool.worker_pids) and pool.is_elsewhere == bool(workers), "a pool")
        processes["workers"] += map(psutil.Process, pool.worker_pids)
        yield pool, processes


def cpu_ms(processes: Processes) -> list[float]:
    """Return the milliseconds that the processors have worked for each kind of process."""
    times = [[one.cpu_times() for one in processes[name]] for name in PROCESSES]
    return [sum(one.user + one.system for one in kind) * 1000 for kind in times]


def asked(folder: Path, count: int) -> list[Asked]:
    """Return the jobs of recordings of their own."""
    return [
        Asked(recording(folder / f"{number}" / "a.wav", seconds=SECONDS, hz=100 + number % 100))
        for number in range(count)
    ]


def time_ms(pool: Pool, jobs: list[Asked]) -> float:
    """Return how long these take together, from the first voice to the last waves."""
    started = perf_counter()
    for one in jobs:
        pool.submit(one)
    for one in jobs:
        assert pool.is_elsewhere == bool(one.made()), "somebody else made the waves"
    return (perf_counter() - started) * 1000


def main(count: int = 500) -> None:
    """Measure, and print a table."""
    configure_logging("error")
    table = Table("what", "local pool of 1", "farm of 1", "farm of 2")
    rates, single, session, used = [], [], [], []
    for workers in (0, 1, 2):
        with (
            tempfile.TemporaryDirectory() as name,
            pools(Path(name), workers, count) as (pool, every),
        ):
            time_ms(pool, asked(Path(name) / "first", WARM))
            jobs = asked(Path(name) / "archive", count)
            before = cpu_ms(every)
            rates.append(count / time_ms(pool, jobs) * 1000)
            after = cpu_ms(every)
            used.append([(b - a) / count for a, b in zip(before, after, strict=True)])
            jobs = asked(Path(name) / "single", SINGLE)
            single.append([time_ms(pool, [one]) for one in jobs])
            folders = [Path(name) / f"session{number}" for number in range(SESSIONS)]
            session.append([time_ms(pool, asked(folder, SLOTS)) for folder in folders])
    table.add_row(f"utterances a second, n={count}", *(f"{one:.1f}" for one in rates))
    table.add_row("times the local pool", *(f"{one / rates[0]:.2f}" for one in rates))
    for row, kind in enumerate(PROCESSES):
        table.add_row(f"CPU ms an utterance, {kind}", *(f"{one[row]:.2f}" for one in used))
    table.add_row("CPU ms an utterance, all", *(f"{sum(one):.2f}" for one in used))
    for words, share in (("p50", 50), ("p99", 99)):
        found = [percentile(one, share) for one in single]
        table.add_row(f"one utterance {words}, ms, n={SINGLE}", *(f"{one:.1f}" for one in found))
        over = [f"{one - found[0]:+.1f}" for one in found]
        table.add_row(f"the farm's part of it {words}, ms", *over)
        found = [percentile(one, share) for one in session]
        table.add_row(f"six at once {words}, ms, n={SESSIONS}", *(f"{one:.1f}" for one in found))
    voice, waves = round(SECONDS * 22_050) * 2, round(SECONDS * 8000) * 2 * 3
    table.add_row("kB of an utterance", "", f"{voice / 1000:.0f} there", f"{waves / 1000:.0f} back")
    wire_s = 125e6 / (voice + waves)
    table.add_row(
        f"{MACHINES} machines, reckoned, utterances a second", "",
        f"{MACHINES * rates[1]:.0f} by their work", f"{wire_s:.0f} by 1 Gbit/s",
    )  # fmt: skip
    console = Console(width=120)
    console.print(f"{os.cpu_count()} cores, utterances of {SECONDS:g} s")
    console.print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
