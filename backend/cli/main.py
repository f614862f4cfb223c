"""The command line: `serve`, `rehearse`, `voices`, `config`, `doctor`, and the commands of plugins.

Each command imports what it needs when it runs, so that `--help` is quick and a command for files
does not load a web server. A plugin's commands are imported when one is called or listed.

Before any command runs, a plugin's too, the streams and the log are set up here, and here alone an
error, Ctrl-C or wrong usage becomes a line and an exit code.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from backend.config import EffectiveSetting, Settings, effective
from backend.errors import PluginError, ReflectiveResonanceError, SettingsError, UsageError
from backend.logs import configure_logging, flushed
from backend.plugins import Discovered, discover
from backend.terminal import (
    discard_output,
    messages,
    output,
    prepare_streams,
    show_json,
    show_paragraph,
)

if TYPE_CHECKING:
    from backend.cli.doctor import Finding

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
DEFAULT_WORDS = "Good evening. I am one of six voices, and the water is listening."
DEFAULT_MESSAGE = "What does the water remember?"

_WrongUsage = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[2])
"""What Typer raises for anything that was mistyped; it has no public name."""
_COMPLETION = {"install_completion", "show_completion"}


class _WithPlugins(TyperGroup):
    """Adds the commands of every installed plugin, enabled or not, under the word it chose."""

    def main(self, *arguments: Any, **extra: Any) -> NoReturn:
        """Run the command line; the process then exits with its code."""
        prepare_streams()
        try:
            code = super().main(*arguments, **{**extra, "standalone_mode": False})
        except _WrongUsage as error:
            code = _show_wrong_usage(error)
        _leave(code or 0)

    def invoke(self, ctx: Any) -> None:
        """Set up what every command needs, then run the command."""
        configure_logging("warning")
        with suppress(SettingsError):  # the command reads them again, and then it is told
            _log_as_set(Settings.load())
        _guarded(lambda: super(_WithPlugins, self).invoke(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_with_commands())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        item = _with_commands().get(cmd_name) if command is None else None
        if item is not None and item.plugin is not None:
            command = typer.main.get_command(item.plugin.resolve("commands"))
            command.name = cmd_name  # --help lists it by this, whatever its function is called
        return command and _in_plain_words(command)


def _in_plain_words(command: Any) -> Any:
    """Let a command show plain help, uncut, and have no options that change the user's shell."""
    command.rich_markup_mode = None
    command.short_help = (command.help or "").partition("\n\n")[0]
    command.params = [param for param in command.params if param.name not in _COMPLETION]
    for below in getattr(command, "commands", {}).values():
        _in_plain_words(below)
    return command


app = typer.Typer(
    name="reflective-resonance",
    cls=_WithPlugins,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
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
    settings, discovered = _load(host=host, port=port, artifacts_dir=artifacts)
    configure_logging(settings.log_level, settings.secrets())
    from backend.http.server import run

    raise typer.Exit(run(settings, discovered))


@app.command()
def rehearse(
    message: Annotated[str, typer.Argument(help="What the visitor says.")] = DEFAULT_MESSAGE,
    slots: Annotated[int, typer.Option(min=1, max=6, help="How many speakers answer.")] = 6,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes the session repeatable.")] = None,
    artifacts: Artifacts = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show each recording's path, and when its waves come.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run one whole session here, without a server, and wait for its waves."""
    settings, discovered = _load(artifacts_dir=artifacts, seed=seed)
    from backend.cli.rehearse import rehearse as run
    from backend.cli.rehearse import show

    progress = messages()
    report = asyncio.run(run(settings, discovered, message, slots, progress, verbose=verbose))
    if as_json:
        show_json(report.to_dict())
    else:
        show(report)
    for problem in report.problems:
        show_paragraph(progress, problem, style="red")
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def config(as_json: AsJson = False) -> None:
    """Show the settings in force, secrets redacted, and where each came from."""
    settings, discovered = _load()
    sections: dict[str, list[EffectiveSetting]] = {"host": effective(settings)}
    for item in discovered:
        if item.plugin is not None:
            sections[item.name] = effective(item.plugin.settings.load())
    from backend.runtime import unread_settings

    unread = unread_settings(settings, discovered)
    if as_json:
        rows: dict[str, Any] = {
            name: {row.variable: {"value": row.value, "source": row.source} for row in section}
            for name, section in sections.items()
        }
        show_json({**rows, "unread": [asdict(one) for one in unread]})
        return
    console = output()
    for name, section in sections.items():
        console.print(name, style="bold")
        for row in section:
            console.print(f"  {row.variable}={row.value}  ({row.source})", soft_wrap=True)
            show_paragraph(console, row.description, (6, 6), "dim")
    for one in unread:
        show_paragraph(console, f"not read: {one}", style="red")


@app.command()
def doctor(artifacts: Artifacts = None, as_json: AsJson = False) -> None:
    """Check that this machine can run the installation."""
    settings, discovered = _load(artifacts_dir=artifacts)
    from backend.cli.doctor import examine

    findings: list[Finding] = examine(settings, discovered, messages().print)
    if as_json:
        show_json([finding.to_dict() for finding in findings])
    else:
        console = output()
        for finding in findings:
            mark, style = ("ok    ", "") if finding.ok else ("FAILED", "red")
            line = f"{mark}  {finding.check}: {finding.detail}"
            show_paragraph(console, line, (0, 8), style)
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
    if out.exists() and not out.is_dir():
        raise UsageError(f"cannot write to {out}: it is a file; name a directory")
    if not say.strip():
        raise UsageError("nothing to say: write the words after --say")
    from backend.cli.voices import audition
    from backend.cli.voices import show as show_voices

    report = audition(settings, say, out, messages())
    if as_json:
        show_json(report.to_dict())
    else:
        show_voices(report)
    if not report.ok:
        raise typer.Exit(EXIT_FAILED)


def _load(**overrides: object) -> tuple[Settings, list[Discovered]]:
    """Read all settings, the plugins' too, and look at the agents' file.

    Raises
    ------
    SettingsError, PluginError
        If any is wrong.
    """
    from backend.agents import check_agents

    settings = Settings.load(**overrides)
    discovered = discover()
    for item in discovered:
        if item.plugin is not None:
            item.plugin.settings.load()
    check_agents(settings)
    return settings, discovered


def _log_as_set(settings: Settings) -> None:
    """Log what is at least a warning, since commands show their progress, or more if asked for."""
    asked = "log_level" in settings.model_fields_set or settings.trace_signals
    configure_logging(settings.log_level if asked else "warning", settings.secrets())


def _guarded(command: Callable[[], Any]) -> None:
    """Run a command; what goes wrong on purpose is one line, Ctrl-C is exit code 130."""
    try:
        with flushed():
            command()
    except KeyboardInterrupt as interrupt:
        _complain(": ".join(["interrupted", *map(str, interrupt.args)]), style="")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except ReflectiveResonanceError as error:
        wrong = isinstance(error, SettingsError | PluginError)
        for line in str(error).splitlines():
            _complain(f"wrong setting: {line}" if wrong else line)
        raise typer.Exit(error.exit_code) from error
    except OSError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_FAILED) from error


def _show_wrong_usage(error: typer.BadParameter) -> int:
    """Say in one line what was mistyped, or show the help that was asked for by saying nothing."""
    message = error.format_message()
    if message.startswith("Usage:"):
        messages().out(message)
    else:
        path = error.ctx.command_path if error.ctx else app.info.name
        _complain(f"{' '.join(message.split()).rstrip('.')}; see `{path} --help`")
    return EXIT_USAGE


def _complain(line: str, style: str = "red") -> None:
    messages().print(line, style=style, soft_wrap=True)


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # its reader went away, as `head` does
        discard_output()
    except OSError as error:
        _complain(f"standard output: {error.strerror}")
        discard_output()
        code = EXIT_FAILED
    sys.exit(code)


def _with_commands() -> dict[str, Discovered]:
    found = [item for item in discover() if item.plugin and item.plugin.commands]
    return {(item.plugin and item.plugin.command) or item.name: item for item in found}
