"""A server killed at a random moment: what it leaves, and how soon the next one is ready."""

import random
import signal
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep

import httpx2
import psutil

from plugins.waves.files.paths import session_targets
from tests.benchmarks.reliability import figures
from tests.benchmarks.reliability.figures import LIMIT_S, SEED, Figure
from tests.command import Running, free_port
from tests.live import chat_body

KILLS = 20
PENDING, A_TURN, SECONDS = 50, 5, 5
ORPHAN_LIMIT_S = 2.0
TICK_S = 0.01
ROOT = Path(__file__).parents[3]


def measure(folder: Path) -> list[Figure]:
    """Measure restarts, and what a restart finds to do."""
    return [*restarts(folder / "restarts"), pending(folder / "pending")]


def pending(folder: Path) -> Figure:
    """Start a server beside recordings without waves; wait until each has its three."""
    root = folder / "artifacts"
    source = figures.utterance_of(folder / "speech", SECONDS)
    speech = [
        path
        for number in range(PENDING // A_TURN)
        for path in figures.copies(
            source, figures.turn_directory(root, f"20261122T000000Z-{number:08x}"), A_TURN
        )
    ]
    targets = [target for path in speech for target in session_targets(path, root)]
    env = {"RR_PORT": str(free_port()), "RR_ARTIFACTS_DIR": str(root), "PYTHONPATH": str(ROOT)}
    started = perf_counter()
    with Running("serve", cwd=folder, env=env):
        while not all(target.exists() for target in targets):
            if perf_counter() - started > LIMIT_S:
                raise TimeoutError(f"the waves were not made within {LIMIT_S} s")
            sleep(TICK_S)
        took_s = perf_counter() - started
    value = f"{took_s:.1f} s after the start, {SECONDS} s of speech each"
    figure = f"{PENDING} pending recordings after a restart"
    return Figure(figure, "<= 30 s", value, took_s <= 30, len(speech))


def restarts(folder: Path) -> list[Figure]:
    """Start, let a session begin, kill, look for orphans; again and again in the same folder."""
    rng = random.Random(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    ready, well, orphans = [], [], 0
    for _ in range(KILLS):
        port = free_port()
        env = {
            "RR_PORT": str(port),
            "RR_ARTIFACTS_DIR": str(folder / "artifacts"),
            "PYTHONPATH": str(ROOT),
        }
        started = perf_counter()
        with (
            Running("serve", cwd=folder, env=env) as server,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT_S) as client,
        ):
            wait_for_state(client, {"ok", "warming"})
            ready.append(perf_counter() - started)
            if rng.random() < 0.8:
                wait_for_state(client, {"ok"})
                well.append(perf_counter() - started)
                with client.stream("POST", "/v1/chat", json=chat_body(1, 2, 3, 4, 5, 6)):
                    sleep(rng.uniform(0, 1.5))
            children = server.children
            server.stop(signal.SIGKILL)
            orphans += len(alive_after(children, ORPHAN_LIMIT_S))
    value = f"answers: median {median(ready):.2f} s, max {max(ready):.2f} s"
    wells = f"median {median(well):.2f} s, max {max(well):.2f} s"
    return [
        Figure("orphans after parent SIGKILL", "0 of 20", str(orphans), orphans == 0, KILLS, SEED),
        Figure(
            "restart after SIGKILL to ready", "<= 3 s", value, max(ready) <= 3, len(ready), SEED
        ),
        Figure("restart after SIGKILL to a warm worker", "", wells, None, len(well), SEED),
    ]


def wait_for_state(client: httpx2.Client, states: set[str]) -> None:
    """Wait until the server answers and the waves plugin is in one of `states`."""
    deadline = monotonic() + LIMIT_S
    while monotonic() < deadline:
        try:
            plugins = client.get("/v1/health/ready").json()["plugins"]
        except httpx2.TransportError:
            plugins = {}
        if plugins.get("waves", {}).get("state") in states:
            return
        sleep(TICK_S)
    raise TimeoutError(f"the server was not {states} within {LIMIT_S} s")


def alive_after(processes: list[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Return those that still run after `limit_s`."""
    deadline = monotonic() + limit_s
    while monotonic() < deadline and any(map(_lives, processes)):
        sleep(TICK_S)
    return [process for process in processes if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
