"""What providers cost at start: `uv run python -m tests.benchmarks.providers [--json] [-n N]`.

Each round starts a fresh interpreter that builds the server's application, warms its agents up,
and then says how long that took, how much memory the process holds, and which libraries of models
are in it: with no key at all, with the key of one provider, and with all. The rounds take turns.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

ROUNDS = 10
ROUND_LIMIT_S = 120
KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GOOGLE_API_KEY",
}
CASES: dict[str, tuple[str, ...]] = {
    "none": (),
    **{name: (name,) for name in KEYS},
    "all": tuple(KEYS),
}
PROGRAM = """
import json, sys
from time import perf_counter
started = perf_counter()
import psutil
from backend.http.app import create_app
from backend.config import (Settings)
imported = perf_counter()
app = create_app(Settings(), [])
built = perf_counter()
app.state.hosting.agents.warm_up()
ready = perf_counter()
libraries = {
    "openai": "openai", "anthropic": "anthropic", "google": "google.genai",
    "pydantic-ai": "pydantic_ai",
}
print(json.dumps({
    "import_s": imported - started,
    "build_s": built - imported,
    "warm_up_s": ready - built,
    "rss_mb": psutil.Process().memory_info().rss / 1e6,
    "loaded": sorted(name for name, module in libraries.items() if module in sys.modules),
}))
"""


@dataclass(frozen=True)
class Start:
    """One start of the server, measured from inside."""

    import_s: float
    build_s: float
    warm_up_s: float
    rss_mb: float
    loaded: list[str]


def start(providers: tuple[str, ...]) -> Start:
    """Build the application in a fresh interpreter that has the keys of `providers`."""
    outside = {name: value for name, value in os.environ.items() if name not in KEYS.values()}
    keys = {KEYS[provider]: "sk-benchmark" for provider in providers}
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**outside, **keys, "PYTHONPATH": str(root)},
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=ROUND_LIMIT_S,
            check=True,
        )
    return Start(**json.loads(done.stdout.splitlines()[-1]))


def measure(rounds: int) -> dict[str, list[Start]]:
    """Return `rounds` starts of each case, after one that fills the caches."""
    for providers in CASES.values():
        start(providers)
    found: dict[str, list[Start]] = {case: [] for case in CASES}
    for _ in range(rounds):
        for case, providers in CASES.items():
            found[case].append(start(providers))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-n", type=int, default=ROUNDS)
    options = parser.parse_args()
    found = measure(options.n)
    if options.json:
        data: dict[str, Any] = {
            case: [asdict(each) for each in starts] for case, starts in found.items()
        }
        print(json.dumps(data, indent=2))
        return
    title = f"n = {options.n} each, median (min to max); {platform.platform()}"
    table = Table("Keys", "Libraries", "Import s", "Build s", "Warm-up s", "RSS MB", title=title)
    for case, starts in found.items():
        columns = []
        for name in ("import_s", "build_s", "warm_up_s", "rss_mb"):
            values = [getattr(each, name) for each in starts]
            columns.append(f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        table.add_row(case, ", ".join(starts[0].loaded) or "-", *columns)
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
