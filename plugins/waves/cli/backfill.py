"""`reflective-resonance waves backfill`: make all missing waves, without a server."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.errors import EXIT_FAILED, UsageError
from backend.plugins import Host, existing_artifacts, interruptible
from backend.storage import Artifacts, holding
from backend.terminal import ArtifactsArgument, AsJson, DryRun, output, show_json, show_table
from plugins.waves.cli.progress import Farm, Workers, load, of_size, results, show_machines
from plugins.waves.settings import WavesSettings

if TYPE_CHECKING:
    from plugins.waves.jobs import Found, WaveJob
    from plugins.waves.pool import Outcome

PURPOSE = "reflective-resonance waves backfill"
KEPT = "the waves made so far are whole; run it again to continue"
_DURATION = re.compile(r"([0-9]+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Row = dict[str, Any]


def backfill(
    artifacts: ArtifactsArgument = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION|DATE",
            help="Only speech of the last 90s, 30m, 12h, 7d, 2w, or since 2026-11-22[T18:00].",
        ),
    ] = None,
    dry_run: DryRun = False,
    workers: Workers = None,
    farm: Farm = None,
    as_json: AsJson = False,
) -> None:
    """Make the waves that are missing in an artifacts directory.

    Exit code: 0 if nothing is missing now, 1 if a file failed, 2 on wrong usage or if a server uses
    the directory, 130 on Ctrl-C. Run it again to continue.
    """
    from plugins.waves.jobs import Search, source_of

    root = existing_artifacts(artifacts)
    settings = load(farm)
    started = monotonic()
    since_s = _moment(since).timestamp() if since else 0.0
    with interruptible(KEPT), nullcontext() if dry_run else holding(root, PURPOSE):
        left = Search(root, settings.profiles).run()
        found = [one for one in left if source_of(one.path, root).written_at.timestamp() >= since_s]
        if dry_run:
            rows = [_row(item, "missing" if item.missing else item.state) for item in found]
        else:
            rows = _run(found, root, settings, workers)
    _show(rows, root.root, as_json)
    if not as_json:
        written = [row["machine"] for row in rows if row["result"] == "written"]
        show_machines(settings.farm, written, started)
    raise typer.Exit(EXIT_FAILED if any(row["result"] == "failed" for row in rows) else 0)


def _moment(since: str) -> datetime:
    """Return the moment that `since` means: a duration ago, or a date in local time."""
    duration = _DURATION.fullmatch(since)
    try:
        if duration:
            ago = timedelta(**{_UNITS[duration[2]]: int(duration[1])})
            return datetime.now().astimezone() - ago
        return datetime.fromisoformat(since).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"--since {since!r} is neither like 12h or 7d nor a date") from error


def _run(
    found: "Sequence[Found]", root: Artifacts, settings: WavesSettings, workers: int | None
) -> list[Row]:
    """Make the waves with a progress bar; return a row for each recording, in their order."""
    from plugins.waves.jobs import WavesContext, adopt, prepared
    from plugins.waves.plugin import create_pool
    from plugins.waves.pool import DiskSpace

    context = WavesContext(Host(root, lambda *_: None), settings, None)
    rows = {
        str(item.path): _adopted(item, adopt(context, item)) for item in found if item.unrecorded
    }
    missing = [item for item in found if item.missing]
    ended: SimpleQueue[Row] = SimpleQueue()

    def on_end(job: "WaveJob", reason: str, message: str, outcome: "Outcome") -> None:
        figures = {"reason": reason, "message": message, "running_ms": round(outcome.running_ms, 1)}
        figures["machine"] = str(outcome.report.data.get("machine", ""))
        result = {"profiles": job.profiles, "result": "failed" if reason else "written"}
        ended.put({"path": job.path, **result, **figures})

    if missing:
        create = partial(
            create_pool,
            of_size(settings, len(missing), workers),
            root.temporary,
            low_priority=False,
            pause_reason=DiskSpace(root.root, settings.min_free_mb).problem,
        )
        jobs = (prepared(context, item, on_end) for item in missing)
        for row in results(create, jobs, len(missing), ended):
            rows[row["path"]] = row
    return [rows[str(item.path)] for item in found]


def _adopted(item: "Found", problem: str) -> Row:
    """Return the row of waves that had to be recorded only."""
    if not problem:
        return _row(item, "recorded")
    return _row(item, "failed") | {"reason": "not_recorded", "message": problem}


def _row(item: "Found", result: str) -> Row:
    return {
        "path": str(item.path),
        "profiles": item.missing or tuple(item.unrecorded),
        "result": result,
        "reason": "",
        "message": "",
        "running_ms": 0.0,
    }


def _show(rows: Sequence[Row], root: Path, as_json: bool) -> None:
    """Print all rows as JSON, or a table of what was not done, and numbers."""
    numbers = Counter(row["result"] for row in rows)
    if as_json:
        show_json({"files": rows, "numbers": numbers})
        return
    table = [
        (
            os.path.relpath(row["path"], root),
            ", ".join(row["profiles"]),
            row["result"],
            f"{row['reason']}: {row['message']}" if row["reason"] else "",
        )
        for row in rows
        if row["result"] not in {"written", "recorded"}
    ]
    if table:
        show_table(("File", "Waves", "Result", "Reason"), table)
    summary = ", ".join(f"{count} {result}" for result, count in numbers.items())
    output().out(summary or "nothing is missing")
