"""Fails if there is a module of which the ordinary tests executed nothing, and names it.

uv run coverage json -q -o - | uv run python -m tests.covered
"""

import json
import sys
from typing import Any

UNSEEN = {
    "backend/children/serve.py",
    "backend/hearing/children/whisper_child.py",
    "backend/speech/children/espeak_child.py",
    "backend/speech/children/piper_child.py",
}
"""Run by interpreters without site-packages, which coverage cannot enter, by children that are
killed at their end, or with an extra."""


def untouched(report: dict[str, Any]) -> list[str]:
    """Return the modules of a coverage report in JSON of which no line was executed."""
    return [
        name
        for name, file in report["files"].items()
        if file["summary"]["num_statements"] and not file["summary"]["covered_lines"]
        if name not in UNSEEN
    ]


if __name__ == "__main__":
    missed = untouched(json.load(sys.stdin))
    sys.exit(f"no ordinary test runs {', '.join(missed)}" if missed else 0)
