"""`reflective-resonance prune`: remove now what is over a limit of the settings."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Any

import typer

from backend.errors import EXIT_FAILED
from backend.plugins import existing_artifacts, interruptible
from backend.storage import SERVED_TREES, Artifacts, Leases, holding
from backend.terminal import (
    ArtifactsArgument,
    AsJson,
    DryRun,
    duration,
    messages,
    output,
    show_json,
    show_table,
)
from plugins.retention.policy import MB, Limits, Policy, plan, policy_of
from plugins.retention.removing import RemovalResult, carry_out
from plugins.retention.settings import RetentionSettings
from plugins.retention.survey import Survey
from plugins.retention.trash import Trash

PURPOSE = "reflective-resonance prune"
KEPT = "what was removed is gone, every other session is whole"
TREES = {"tts": "speech", "waves": "waves", "stt": "recordings"}

app = typer.Typer(name="prune", help="Remove speech and waves that are over a limit.")


@app.command()
def prune(
    artifacts: ArtifactsArgument = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Remove speech and waves that are over a limit of RR_RETENTION_....

    Exit code: 0 on success, 1 if something could not be removed, 2 on wrong usage or if a server
    uses the directory, 130 on Ctrl-C. Run it again to continue.
    """
    root = existing_artifacts(artifacts)
    policy = policy_of(RetentionSettings.load())
    with interruptible(KEPT), nullcontext() if dry_run else holding(root, PURPOSE):
        removed, stored = _prune(root, policy, dry_run=dry_run)
    if policy == Policy():
        messages().out(
            "no limit is set, so nothing is removed; see RR_RETENTION_... in .env.example"
        )
    rows = [_row(item, policy, dry_run=dry_run) for item in removed]
    totals = _totals(rows, stored)
    if as_json:
        show_json({"sessions": rows, "totals": totals})
    else:
        _show(rows, totals, dry_run=dry_run)
    raise typer.Exit(EXIT_FAILED if any(row["result"] == "failed" for row in rows) else 0)


def _prune(
    root: Artifacts, policy: Policy, *, dry_run: bool
) -> tuple[list[RemovalResult], dict[str, int]]:
    """Remove, unless `dry_run`; return every removal, and the bytes before it by tree."""
    survey = Survey(root, read_only=dry_run)
    found = {tree: survey.look(tree) for tree in SERVED_TREES}
    stored = {str(tree): sum(item.size for item in there) for tree, there in found.items()}
    going = plan(found["tts"], found["waves"], policy, (), time.time(), found["stt"])
    if dry_run:
        return [RemovalResult(removal) for removal in going], stored
    trash = Trash(root)
    trash.sweep()
    return list(chain.from_iterable(carry_out(going, trash, Leases()))), stored


def _row(item: RemovalResult, policy: Policy, *, dry_run: bool) -> dict[str, Any]:
    removal = item.removal
    limits = policy.waves if removal.tree == "waves" else policy.tts
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
        "waves": "its waves are removed",
        "speech": "its speech is removed",
    }[why]


def _totals(rows: Sequence[dict[str, Any]], stored: dict[str, int]) -> dict[str, dict[str, int]]:
    """Return the sessions and bytes that are removed, and the bytes left, for each tree."""
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
    """Print a table of the removals, then their totals."""
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
