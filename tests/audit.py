"""Judge a report of pip-audit: `python -m tests.audit REPORT` exits with 1 for a known weakness.

The database is on the network. Where it cannot be reached, that is said and is no failure: a change
shall not fail for what is not its own.
"""

import json
import sys
from pathlib import Path
from typing import Any


def judge(report: Path) -> tuple[list[str], str]:
    """Return a line for each known weakness, and what was looked at."""
    try:
        packages: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["dependencies"]
    except (OSError, ValueError, KeyError):
        packages = []
    looked_at = [one for one in packages if "vulns" in one]
    weak = [
        f"{one['name']} {one['version']}: {found['id']}, mended in "
        f"{', '.join(found['fix_versions']) or 'no version'}"
        for one in looked_at
        for found in one["vulns"]
    ]
    if not looked_at:
        return weak, "NOT AUDITED: the database of weaknesses could not be reached"
    return weak, f"{len(looked_at)} of {len(packages)} packages audited, {len(weak)} weaknesses"


if __name__ == "__main__":
    known, said = judge(Path(sys.argv[1]))
    print(*known, said, sep="\n", file=sys.stderr)
    sys.exit(1 if known else 0)
