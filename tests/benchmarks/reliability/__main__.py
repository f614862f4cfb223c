"""Print the figures of reliability with target, n, seed and machine.

    uv run python -m tests.benchmarks.reliability [--json] [--only emit water ...]

Some six minutes on two cores. The load average stands beside every row: what else runs on the
machine goes into the figures.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from backend.logs import configure_logging, flushed
from tests.benchmarks.reliability import emit, hostile, inputs, load, restart, water, workers
from tests.benchmarks.reliability.figures import Figure

TABLE_WIDTH = 200
SUBJECTS: dict[str, Callable[[Path], list[Figure]]] = {
    "emit": emit.measure,
    "water": water.measure,
    "load": load.measure,
    "workers": workers.measure,
    "restart": restart.measure,
    "inputs": inputs.measure,
    "hostile": hostile.measure,
}


def measure(subjects: list[str]) -> dict[str, Any]:
    """Measure the subjects one after the other."""
    rows = []
    for name in subjects:
        print(f"measuring: {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as directory, logging_to(Path(directory) / "log"):
            found = measured(name, Path(directory))
        rows += [asdict(figure) | {"load": round(os.getloadavg()[0], 1)} for figure in found]
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"machine": machine, "rows": rows}


def measured(name: str, folder: Path) -> list[Figure]:
    """Return the figures of a subject, or that it failed: the other subjects' figures stand."""
    try:
        return SUBJECTS[name](folder)
    except Exception as error:
        return [Figure(name, "", f"could not be measured: {error!r}", False, 0)]


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log as a server does, tracebacks and all, into a file: writing it belongs to the figures."""
    with path.open("w", encoding="utf-8") as stream:
        with contextlib.redirect_stderr(stream):
            configure_logging("info")
        with flushed():
            yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    asked = parser.parse_args()
    result = measure(asked.only)
    if asked.json:
        print(json.dumps(result, indent=2))
        return
    table = Table("Figure", "Target", "Measured", "", "n", "Seed", "Load", title=result["machine"])
    for row in result["rows"]:
        verdict = {True: "met", False: "missed", None: ""}[row["met"]]
        seed = "" if row["seed"] is None else str(row["seed"])
        table.add_row(
            row["figure"], row["target"], row["value"], verdict, str(row["n"]), seed,
            str(row["load"]),
        )  # fmt: skip
    Console(width=max(TABLE_WIDTH, Console().width)).print(table)


if __name__ == "__main__":
    main()
