"""What a worker's death costs, and what a thousand jobs leave behind."""

import asyncio
import gc
import os
import signal
import threading
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import psutil

from backend.signals import emit, tts_written
from plugins.waves import worker
from plugins.waves.files import paths
from plugins.waves.pool import Pool
from tests.benchmarks.reliability import figures
from tests.benchmarks.reliability.figures import Figure
from tests.plugins.waves.pool.pools import Asked
from tests.workers import workers_of

DEATHS = 30
JOBS, WARM_UP_JOBS, WAVE_AT_ONCE = 1_000, 300, 50
MEGABYTE = 2**20


def measure(folder: Path) -> list[Figure]:
    """Measure recovery and leaks."""
    return [*recovery(folder / "recovery"), *asyncio.run(leaks(folder / "leaks"))]


def order(path: Path, root: Path) -> worker.Order:
    """Return what the plugin would send to a worker."""
    directory = str(paths.session_targets(path, root)[0].parent)
    return worker.Order(str(path), directory, str(root / ".tmp"), str(root), 600, "exact")


class Decomposition(Asked):
    """One recording for the real worker."""

    def __init__(self, path: Path, root: Path) -> None:
        super().__init__(path)
        self.order = order(path, root)

    def begin(self, queued_ms: float) -> object:
        super().begin(queued_ms)
        return self.order


def recovery(root: Path) -> list[Figure]:
    """Kill the only worker, idle or in a job by turns; wait for the next job's end."""
    source = figures.utterance_of(root / "speech", 2)
    recordings = figures.copies(source, figures.turn_directory(root), 2 * DEATHS + 1)
    times: list[float] = []
    pool = Pool(
        worker.decompose,
        lanes=1,
        queue_max_size=10,
        timeout_s=60,
        warm_up=partial(worker.warm_up, str(root / ".tmp"), "exact", None),
    )
    with pool:
        first = Decomposition(recordings[-1], root)
        pool.submit(first)
        first.outcome()
        for number in range(DEATHS):
            (pid,) = pool.worker_pids
            running, following = (
                Decomposition(path, root)
                for path in (recordings[2 * number], recordings[2 * number + 1])
            )
            if number % 2:
                pool.submit(running)
                running.begun.wait()
            os.kill(pid, signal.SIGKILL)
            killed = monotonic()
            pool.submit(following)
            assert not following.outcome().reason
            times.append(monotonic() - killed)
    value = f"median {median(times):.2f} s, max {max(times):.2f} s"
    met = median(times) <= 0.5 and max(times) <= 1.5
    target = "median <= 0.5 s, max <= 1.5 s"
    return [Figure("recovery after a worker's death", target, value, met, DEATHS)]


async def leaks(root: Path) -> list[Figure]:
    """Compare what the process and its workers hold before and after a thousand jobs."""
    source = figures.utterance_of(root / "speech", 2)
    async with figures.waves(root) as outcomes:
        await run_jobs(root, source, WARM_UP_JOBS, "warm", outcomes)
        before = holdings(root)
        await run_jobs(root, source, JOBS, "job", outcomes)
        after = holdings(root)
        done = sum(not reason for reason in outcomes.reasons.values())
        assert done == WARM_UP_JOBS + JOBS
    grown = {name: after[name] - before[name] for name in before}
    limits = {"server MB": 5.0, "worker MB": 20.0}
    met = all(grown[name] <= limits.get(name, 0) for name in grown)
    value = ", ".join(f"{name} {value:+.3g}" for name, value in grown.items())
    target = "server +5 MB, worker +20 MB, else 0"
    return [Figure("leaks per 1,000 jobs", target, value, met, JOBS)]


async def run_jobs(
    root: Path, source: Path, count: int, name: str, outcomes: figures.Outcomes
) -> None:
    """Have copies decomposed, as many at once as may wait, in sessions of that many."""
    for start in range(0, count, WAVE_AT_ONCE):
        turn = figures.turn_directory(root, f"{name}-{start}")
        recordings = figures.copies(source, turn, min(WAVE_AT_ONCE, count - start))
        for path in recordings:
            emit(tts_written, None, figures.event_of(path, root))
        await outcomes.wait_for(recordings)


def holdings(root: Path) -> dict[str, float]:
    """Return what is held now."""
    gc.collect()
    sleep(0.2)  # threads that end take a moment to be gone
    process = psutil.Process()
    children = process.children()
    workers = workers_of(process)
    return {
        "server MB": process.memory_info().rss / MEGABYTE,
        "worker MB": max(child.memory_info().rss for child in workers) / MEGABYTE,
        "descriptors": process.num_fds(),
        "worker descriptors": sum(child.num_fds() for child in workers),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "temporary files": len(list((root / ".tmp").rglob("*"))),
        "zombies": sum(child.status() == psutil.STATUS_ZOMBIE for child in children),
    }
