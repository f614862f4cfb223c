"""`reflective-resonance prune`: remove now what is over a limit of the settings."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.errors import EXIT_FAILED
from backend.plugins import existing_artifacts, interruptible
from backend.storage import Artifacts, Leases, holding
from backend.terminal import duration, messages, output, show_json, show_table
from plugins.retention.policy import MB, Limits, Policy, plan, policy_of
from plugins.retention.removing import Removed, carry_out
from plugins.retention.settings import RetentionSettings
from plugins.retention.survey import Survey
from plugins.retention.trash import Trash

PURPOSE = "reflective-resonance prune"
KEPT = "what was removed is gone, every other session is whole"
TREES = {"tts": "speech", "waves": "waves"}

app = typer.Typer(name="prune", help="Remove speech and waves that are over a limit.")


@app.command()
def prune(
    artifacts: Annotated[
        Path | None,
        typer.Argument(help="The artifacts directory; that of the settings by default."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would go; also beside a server.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.")
    ] = False,
) -> None:
    """Remove speech and waves that are over a limit of RR_RETENTION_....

    Exits with 0 if all went that was to go, 1 if something could not be removed, 2 on bad usage or
    if a server is running there, 130 on Ctrl-C; run it again to go on.
    """
    root = existing_artifacts(artifacts)
    policy = policy_of(RetentionSettings.load())
    with interruptible(KEPT), nullcontext() if dry_run else holding(root, PURPOSE):
        removed, stored = _prune(root, policy, dry_run=dry_run)
    if policy == Policy():
        messages().out("no limit is set, so nothing goes; see RR_RETENTION_... in .env.example")
    rows = [_row(item, policy, dry_run=dry_run) for item in removed]
    totals = _totals(rows, stored)
    if as_json:
        show_json({"sessions": rows, "totals": totals})
    else:
        _show(rows, totals, dry_run=dry_run)
    raise typer.Exit(EXIT_FAILED if any(row["result"] == "failed" for row in rows) else 0)


def _prune(
    root: Artifacts, policy: Policy, *, dry_run: bool
) -> tuple[list[Removed], dict[str, int]]:
    """Do it, or what a dry run does; return every removal, and the bytes there were by tree."""
    survey = Survey(root)
    speech, waves = survey.look("tts"), survey.look("waves")
    stored = {
        "tts": sum(item.size for item in speech),
        "waves": sum(item.size for item in waves),
    }
    going = plan(speech, waves, policy, (), time.time())
    if dry_run:
        return [Removed(removal) for removal in going], stored
    trash = Trash(root)
    trash.sweep()
    return list(chain.from_iterable(carry_out(going, trash, Leases()))), stored


def _row(item: Removed, policy: Policy, *, dry_run: bool) -> dict[str, Any]:
    removal = item.removal
    limits = policy.tts if removal.tree == "tts" else policy.waves
    return {
        "session_id": removal.session_id,
        "tree": removal.tree,
        "bytes": removal.size,
        "age_s": round(removal.age_s),
        "why": removal.why,
        "because": _because(removal.why, limits),
        "result": "failed" if item.problem else "would go" if dry_run else "removed",
        "problem": item.problem,
    }


def _because(why: str, limits: Limits) -> str:
    return {
        "age": f"older than {duration(limits.ttl_s)}",
        "number": f"not among the newest {limits.keep_last}",
        "size": f"over {limits.max_bytes / MB:g} MB in all",
        "waves": "its waves go",
    }[why]


def _totals(rows: Sequence[dict[str, Any]], stored: dict[str, int]) -> dict[str, dict[str, int]]:
    """Return, for each tree, the sessions and bytes that go, and the bytes that stay."""
    totals = {}
    for tree, there in stored.items():
        sizes = [row["bytes"] for row in rows if row["tree"] == tree and row["result"] != "failed"]
        totals[tree] = {
            "sessions": len(sizes),
            "bytes": sum(sizes),
            "bytes_left": there - sum(sizes),
        }
    return totals


def _show(
    rows: Sequence[dict[str, Any]], totals: dict[str, dict[str, int]], *, dry_run: bool
) -> None:
    """Print a table of what goes, then what that comes to."""
    if rows:
        table = [
            (
                row["session_id"],
                TREES[row["tree"]],
                _megabytes(row["bytes"]),
                duration(row["age_s"]),
                row["because"],
                f"{row['result']}: {row['problem']}" if row["problem"] else row["result"],
            )
            for row in rows
        ]
        show_table(("Session", "What", "Size", "Age", "Why", ""), table)
    console = output()
    verb = "would go" if dry_run else "removed"
    for tree, total in totals.items():
        count = total["sessions"]
        sessions = f"{count} session{'' if count == 1 else 's'}"
        sizes = f"{_megabytes(total['bytes'])}, {_megabytes(total['bytes_left'])} left"
        console.out(f"{TREES[tree]}: {sessions} {verb}, {sizes}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
