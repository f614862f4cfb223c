"""`reflective-resonance prune`: remove what is over a limit now, without a server.

The limits are those of the settings, also while `RR_RETENTION_ENABLED` is false. What it needs is
imported when it runs: the host reads this module for `--help`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from backend.artifacts import Artifacts
    from plugins.retention.policy import Limits, Policy
    from plugins.retention.removing import Removed

FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130
PURPOSE = "reflective-resonance prune"
TREES = {"tts": "speech", "waves": "waves"}

app = typer.Typer(
    name="prune", add_completion=False, help="Remove speech and waves that are over a limit."
)


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
    from backend.errors import ArtifactsInUseError
    from backend.lock import holding
    from backend.logs import configure_logging
    from plugins.retention.policy import Policy

    policy, root = _settings(artifacts)
    configure_logging("warning")
    with _interruptible():
        if dry_run:
            removed, stored = _prune(root, policy, dry_run=True)
        else:
            try:
                with holding(root, PURPOSE):
                    removed, stored = _prune(root, policy, dry_run=False)
            except ArtifactsInUseError as error:
                raise _bad_usage(str(error)) from error
    if policy == Policy():
        typer.echo("no limit is set, so nothing goes; see RR_RETENTION_... in .env", err=True)
    rows = [_row(item, policy, dry_run=dry_run) for item in removed]
    totals = _totals(rows, stored)
    if as_json:
        typer.echo(json.dumps({"sessions": rows, "totals": totals}, indent=2))
    else:
        _show(rows, totals, dry_run=dry_run)
    raise typer.Exit(FAILED if any(row["result"] == "failed" for row in rows) else 0)


def _prune(
    root: "Artifacts", policy: "Policy", *, dry_run: bool
) -> "tuple[list[Removed], dict[str, int]]":
    """Do it, or what a dry run does; return every removal, and the bytes there were by tree."""
    import time

    from backend.leases import Leases
    from plugins.retention.policy import plan
    from plugins.retention.removing import Removed, carry_out
    from plugins.retention.survey import Survey
    from plugins.retention.trash import Trash

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


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted: what went is gone, what stayed is whole", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        typer.echo(f"stopped: {error}; what went is gone, what stayed is whole", err=True)
        raise typer.Exit(FAILED) from None


def _settings(path: Path | None) -> "tuple[Policy, Artifacts]":
    from backend.artifacts import Artifacts
    from backend.config import Settings
    from backend.errors import ReflectiveResonanceError
    from backend.plugins import load_settings
    from plugins.retention.policy import policy_of
    from plugins.retention.settings import RetentionSettings, plugin

    try:
        root = path or Settings.load().artifacts_dir
        settings = load_settings(plugin)
    except ReflectiveResonanceError as error:
        raise _bad_usage(str(error)) from error
    assert isinstance(settings, RetentionSettings)  # noqa: S101 - `plugin` is ours
    if not root.is_dir():
        raise _bad_usage(f"{root} is not a directory: name the artifacts directory of a server")
    return policy_of(settings), Artifacts(root)


def _bad_usage(message: str) -> typer.Exit:
    typer.echo(message, err=True)
    return typer.Exit(BAD_USAGE)


def _row(item: "Removed", policy: "Policy", *, dry_run: bool) -> dict[str, Any]:
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


def _because(why: str, limits: "Limits") -> str:
    from plugins.retention.policy import MB

    return {
        "age": f"older than {_duration(limits.ttl_s)}",
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
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if rows:
        table = Table()
        for title in ("session", "what", "size", "age", "why"):
            table.add_column(title, no_wrap=True)
        table.add_column("")
        for row in rows:
            result = f"{row['result']}: {row['problem']}" if row["problem"] else row["result"]
            table.add_row(
                row["session_id"],
                TREES[row["tree"]],
                _megabytes(row["bytes"]),
                _duration(row["age_s"]),
                row["because"],
                escape(result),
            )
        Console(highlight=False).print(table)
    verb = "would go" if dry_run else "removed"
    for tree, total in totals.items():
        count = total["sessions"]
        sessions = f"{count} session{'' if count == 1 else 's'}"
        sizes = f"{_megabytes(total['bytes'])}, {_megabytes(total['bytes_left'])} left"
        typer.echo(f"{TREES[tree]}: {sessions} {verb}, {sizes}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _duration(seconds: float) -> str:
    """Return a duration as people say it, such as `90 s`, `12 min`, `36 h` or `5 days`."""
    for unit, length_s, least in (("days", 86_400, 2), ("h", 3600, 2), ("min", 60, 2)):
        if seconds >= least * length_s:
            return f"{round(seconds / length_s, 1):g} {unit}"
    return f"{seconds:g} s"
