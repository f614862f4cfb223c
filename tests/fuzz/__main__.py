"""Fuzz one target, guided by the code that it reaches, until the time is over or it fails.

What is found new is kept below `.pytest_cache/fuzz`, and is where the next run begins.
"""

import argparse
import importlib
import logging
import sys
from pathlib import Path

import atheris  # only in the group `fuzz`: there are wheels for Linux and macOS alone
import structlog

FOLDER = Path(__file__).parent
NAMES = sorted(path.name for path in (FOLDER / "corpus").iterdir())
FOUND = FOLDER.parents[1] / ".pytest_cache" / "fuzz"


def main() -> None:
    """Run the target that is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=600)
    asked = parser.parse_args()
    found, kept = FOUND / asked.target, FOLDER / "corpus" / asked.target
    found.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(
        include=["backend", "plugins", "starlette", "python_multipart"]
    ):
        target = importlib.import_module("tests.fuzz.targets").TARGETS[asked.target]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    limits = (
        f"-max_total_time={asked.seconds}",
        "-max_len=4096",
        "-timeout=20",
        "-rss_limit_mb=3000",
    )
    prefix = f"-artifact_prefix={found}-"
    atheris.Setup(
        [sys.argv[0], *limits, prefix, "-print_final_stats=1", str(found), str(kept)], target
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
