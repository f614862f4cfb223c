"""A server that was killed starts again: `python -m tests.benchmarks.restart [ROUNDS]`.

Prints how long it takes from the start of the process until `/v1/health/ready` answers, and until
fifty recordings that were left without waves all have them; then how long a search takes over five
hundred finished sessions, the first time and the next.
"""

import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from backend.storage import Artifacts
from plugins.waves.jobs import Search
from tests.backend.serving import READY
from tests.command import Running, free_port
from tests.live import get
from tests.plugins.waves.jobs.test_search import publish
from tests.plugins.waves.speeches import left, set_age, speak

PENDING = 50
SESSIONS = 500
LIMIT_S = 120.0


def restart(directory: Path) -> tuple[float, float]:
    """Kill a server that has just begun, start another; return seconds until ready and done."""
    directory.mkdir()
    artifacts = Artifacts(directory / "artifacts")
    port = free_port()
    with Running("serve", "--port", str(port), cwd=directory) as server:
        server.wait_for(READY)
        server.stop(signal.SIGKILL)
    for n in range(PENDING):
        speak(artifacts, f"slot-{n}_gpt_calm", session=f"session-{n % 5}")
    started = time.perf_counter()
    with Running("serve", "--port", str(port), cwd=directory) as server:
        ready_s = _until(lambda: _answers(port), started)
        done_s = _until(lambda: not left(artifacts), started)
        server.stop(signal.SIGINT)
    return ready_s, done_s


def search(directory: Path) -> tuple[float, float]:
    """Return the seconds that the first and the second search over finished sessions take."""
    artifacts = Artifacts(directory / "many")
    for n in range(SESSIONS):
        wav = speak(artifacts, "slot-1_gpt_calm", session=f"session-{n}")
        publish(artifacts, wav, session=f"session-{n}")
    for path in artifacts.root.rglob("*"):
        set_age(path, 60)
    looking = Search(artifacts)
    times = []
    for _ in range(2):
        started = time.perf_counter()
        assert [] == list(looking.run())
        times.append(time.perf_counter() - started)
    return times[0], times[1]


def _answers(port: int) -> bool:
    try:
        return get(port, "/v1/health/ready").status == 200
    except OSError:
        return False


def _until(condition: Callable[[], bool], started: float) -> float:
    while not condition():
        assert time.perf_counter() - started < LIMIT_S
        time.sleep(0.02)
    return time.perf_counter() - started


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as directory:
        figures = [restart(Path(directory) / str(n)) for n in range(rounds)]
        first_s, next_s = search(Path(directory))
    for name, times in zip(("ready", f"{PENDING} done"), zip(*figures, strict=True), strict=True):
        times_s = sorted(times)
        print(f"{name:10} n={rounds}  median {times_s[rounds // 2]:.2f} s  max {times_s[-1]:.2f} s")
    print(f"search     {SESSIONS} finished sessions: first {first_s:.2f} s, then {next_s:.3f} s")


if __name__ == "__main__":
    main()
