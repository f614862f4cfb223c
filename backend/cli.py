"""The command line: `serve`, `rehearse`, `voices`, `config`, `doctor`, and the commands of plugins.

Each command imports what it needs when it runs, so that `--help` is quick and a command for files
does not load a web server. A plugin's commands are imported when one is called or listed.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from backend.config import Settings
from backend.errors import ArtifactsInUseError, ReflectiveResonanceError, SettingsError
from backend.logs import configure_logging
from backend.logwriter import flushed
from backend.plugins import Discovered, discover, load_settings
from backend.settings_report import EffectiveSetting, effective

if TYPE_CHECKING:
    from backend.doctor import Finding

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
DEFAULT_WORDS = "Good evening. I am one of six voices, and the water is listening."
DEFAULT_MESSAGE = "What does the water remember?"

errors = Console(stderr=True, highlight=False, soft_wrap=True)


class _WithPlugins(TyperGroup):
    """Adds the commands of every installed plugin, enabled or not, under the word it chose."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_with_commands())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        item = _with_commands().get(cmd_name)
        if item is None or item.plugin is None:
            return None
        command = typer.main.get_command(item.plugin.resolve("commands"))
        command.name = cmd_name  # --help lists it by this, whatever its function is called
        return command


app = typer.Typer(
    name="reflective-resonance",
    cls=_WithPlugins,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An installation that answers a visitor with six voices and moves water with them.",
)

Artifacts = Annotated[
    Path | None, typer.Option("--artifacts", metavar="DIR", help="Where speech and waves are kept.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print data on stdout, everything else on stderr.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("reflective-resonance"))
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """An installation that answers a visitor with six voices and moves water with them."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port to listen on.")] = None,
    artifacts: Artifacts = None,
) -> None:
    """Run the server until Ctrl-C."""
    settings, discovered = _load(quiet=False, host=host, port=port, artifacts_dir=artifacts)
    from backend.server import run

    sys.exit(_guarded(lambda: run(settings, discovered)))


@app.command()
def rehearse(
    message: Annotated[str, typer.Argument(help="What the visitor says.")] = DEFAULT_MESSAGE,
    slots: Annotated[int, typer.Option(min=1, max=6, help="How many speakers answer.")] = 6,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes the session repeatable.")] = None,
    artifacts: Artifacts = None,
    as_json: AsJson = False,
) -> None:
    """Run one whole session here, without a server, and wait for its waves."""
    settings, discovered = _load(artifacts_dir=artifacts, seed=seed)
    from backend.rehearsal import rehearse as run
    from backend.rehearsal import show

    report = _guarded(lambda: asyncio.run(run(settings, discovered, message, slots, errors)))
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        show(report, Console(highlight=False))
    for problem in report.problems:
        errors.print(f"[red]{escape(problem)}[/red]")
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def config(as_json: AsJson = False) -> None:
    """Show the settings in force, secrets redacted, and where each came from."""
    settings, discovered = _load()
    sections: dict[str, list[EffectiveSetting]] = {"host": effective(settings)}
    for item in discovered:
        if item.plugin is not None:
            sections[item.name] = effective(load_settings(item.plugin))
    from backend.host import unread_settings

    unread = unread_settings(settings, discovered)
    if as_json:
        rows: dict[str, Any] = {
            name: {row.variable: {"value": row.value, "source": row.source} for row in section}
            for name, section in sections.items()
        }
        rows["unread"] = [asdict(one) for one in unread]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("Setting", "Value", "From", "Meaning")
    for section in sections.values():
        for row in section:
            table.add_row(row.variable, escape(row.value), row.source, escape(row.description))
        table.add_section()
    console = Console(highlight=False)
    console.print(table)
    for one in unread:
        console.print(f"[red]not read:[/red] {escape(str(one))}", soft_wrap=True)


@app.command()
def doctor(artifacts: Artifacts = None, as_json: AsJson = False) -> None:
    """Check that this machine can run the installation."""
    settings, discovered = _load(artifacts_dir=artifacts)
    from backend.doctor import examine

    findings: list[Finding] = _guarded(lambda: examine(settings, discovered))
    if as_json:
        typer.echo(json.dumps([finding.to_dict() for finding in findings], indent=2))
    else:
        table = Table("Check", "", "What was found")
        for finding in findings:
            mark = "[green]ok[/green]" if finding.ok else "[red]FAILED[/red]"
            table.add_row(escape(finding.check), mark, escape(finding.detail))
        Console(highlight=False).print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def voices(
    say: Annotated[str, typer.Option(metavar="TEXT", help="What is said.")] = DEFAULT_WORDS,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the samples go.")] = Path(
        "voices"
    ),
    as_json: AsJson = False,
) -> None:
    """Make a sample of every voice, and show its duration, level and pitch."""
    settings, _ = _load()
    from backend.speech.audition import audition
    from backend.speech.audition import show as show_voices

    report = _guarded(lambda: audition(settings, say, out, errors))
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        show_voices(report, Console(highlight=False))
    if not report.ok:
        raise typer.Exit(EXIT_FAILED)


def _load(*, quiet: bool = True, **overrides: object) -> tuple[Settings, list[Discovered]]:
    """Read all settings; a wrong one ends the command with one line each and exit code 2.

    A `quiet` command shows its own progress, and of the log what is at least a warning, unless a
    level or the signals were asked for.
    """
    configure_logging("warning")
    from backend.agents.factory import check_agents

    try:
        with flushed():
            settings = Settings.load(**overrides)
            asked = "log_level" in settings.model_fields_set or settings.trace_signals
            if not quiet or asked:
                configure_logging(settings.log_level, settings.secrets())
            else:
                configure_logging("warning", settings.secrets())
            discovered = discover()
            for item in discovered:
                if item.plugin is not None:
                    load_settings(item.plugin)
            check_agents(settings)
    except ReflectiveResonanceError as error:
        _show_wrong_settings(error)
        raise typer.Exit(EXIT_USAGE) from error
    return settings, discovered


def _show_wrong_settings(error: Exception) -> None:
    for line in str(error).splitlines():
        errors.print(f"[red]wrong setting:[/red] {escape(line)}")


def _guarded(command: Callable[[], Any]) -> Any:
    """Run a command; what goes wrong on purpose is one line, Ctrl-C is exit code 130."""
    try:
        with flushed():
            return command()
    except KeyboardInterrupt:
        errors.print("interrupted")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except SettingsError as error:
        _show_wrong_settings(error)
        raise typer.Exit(EXIT_USAGE) from error
    except ArtifactsInUseError as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(EXIT_USAGE) from error
    except (ReflectiveResonanceError, OSError) as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(EXIT_FAILED) from error


def _with_commands() -> dict[str, Discovered]:
    found = [item for item in discover() if item.plugin and item.plugin.commands]
    return {(item.plugin and item.plugin.command) or item.name: item for item in found}
