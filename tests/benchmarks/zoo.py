"""What a bad subscriber costs a visitor: `uv run python -m tests.benchmarks.zoo [SESSIONS]`.

A server of its own, with the plugins that are on by default, runs each of the zoo, and none, in
turns. The visitor is another process on loopback: the time from its request to each `slot.audio`.
"""

import os
import platform
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import httpx2
from rich.console import Console
from rich.table import Table

from tests import strangers
from tests.backend.serving import READY
from tests.command import Running, free_port
from tests.live import chat_body, events

SESSIONS = 6
NONE = "none"
RUNNING = (
    "raises_in_receiver",
    "exits_in_receiver",
    "blocks_in_receiver",
    "hangs_at_start",
    "hangs_at_stop",
    "floods",
    "emits_in_a_circle",
    "forks",
    "leaks",
    "deletes_the_artifacts",
)
"""Of the zoo, those of which more is to be seen than a line of the log at the start."""
LIMIT_S = 120.0
CODE = "from backend.plugins.testing.zoo import ZOO\nplugin = ZOO[{!r}]\n"


class Figures:
    """What visitors have seen beside one subscriber."""

    def __init__(self) -> None:
        self.audio_ms: list[float] = []
        self.ends: Counter[str] = Counter()
        """`slot.error`, and `done` once for each session."""
        self.named = 0
        """Warnings and errors of the log that name it."""


def visit(folder: Path, name: str, figures: Figures) -> None:
    """Run a server beside a subscriber; the second of two sessions counts."""
    folder.mkdir()
    if name != NONE:
        strangers.install(folder, name, CODE.format(name))
    port = free_port()
    env = {"PYTHONPATH": str(folder), "RR_STT_ENGINE": "none"}
    with Running("serve", "--port", str(port), cwd=folder, env=env) as server:
        server.wait_for(READY)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT_S) as client:
            for counts in (False, True):
                began = perf_counter()
                body = chat_body(1, 2, 3, 4, 5, 6)
                with client.stream("POST", "/v1/chat", json=body) as response:
                    for event, _ in events(response.iter_lines()):
                        if counts and event == "slot.audio":
                            figures.audio_ms.append((perf_counter() - began) * 1000)
                        figures.ends[event] += counts
        server.stop()
    told = [line for line in server.log if "[warning" in line or "[error" in line]
    figures.named += sum(f"plugin={name}" in line for line in told)


def main() -> None:
    """Print the table."""
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else SESSIONS
    table: defaultdict[str, Figures] = defaultdict(Figures)
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(sessions):
            for name in (NONE, *RUNNING):
                visit(Path(folder) / f"{name}-{turn}", name, table[name])
    columns = ("Subscriber", "p50", "p95", "n", "slot.error", "sessions done", "lines of the log")
    machine = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    shown = Table(*columns, title=f"From a visitor's request to slot.audio; {machine}")
    for name, one in table.items():
        cuts = quantiles(one.audio_ms, n=20, method="inclusive")
        values = (one.ends["slot.error"], f"{one.ends['done']} of {sessions}", one.named)
        times = (f"{cuts[9]:.0f} ms", f"{cuts[18]:.0f} ms", len(one.audio_ms))
        shown.add_row(name, *map(str, (*times, *values)))
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
