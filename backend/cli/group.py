"""The group of all commands: it sets up streams and log, and maps each end to an exit code."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from backend.config import Settings, one_reading
from backend.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    PluginError,
    ReflectiveResonanceError,
    SettingsError,
    UsageError,
)
from backend.logs import configure_logging, flushed
from backend.plugins import Discovered, discover
from backend.terminal import discard_output, messages, prepare_streams

PROGRAM = "reflective-resonance"

OTHERS = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""Variables of other programs that would change what libraries do here; they are removed."""

_WrongUsage = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[2])
"""The class of all usage errors of Typer; it has no public name."""
_COMPLETION = {"install_completion", "show_completion"}


class CommandGroup(TyperGroup):
    """Add the commands of every installed plugin, enabled or not."""

    def main(self, *arguments: Any, **extra: Any) -> NoReturn:
        """Run the command line, then exit."""
        prepare_streams()
        for name in OTHERS:
            os.environ.pop(name, None)
        configure_logging("warning")  # also for --help, which looks for the commands of plugins
        try:
            _check_text(sys.argv[1:])
            code = super().main(*arguments, **{**extra, "standalone_mode": False})
        except UsageError as error:
            _complain(str(error))
            code = EXIT_USAGE
        except _WrongUsage as error:
            code = _show_wrong_usage(error)
        _leave(code or 0)

    def invoke(self, ctx: Any) -> None:
        """Set up what every command needs, then run the command."""
        with one_reading():
            with suppress(SettingsError):  # the command reads them again, and reports it
                _log_as_set(Settings.load())
            _guarded(lambda: super(CommandGroup, self).invoke(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of our commands, then those of plugins."""
        return [*super().list_commands(ctx), *sorted(_with_commands(ctx))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; that of a plugin is imported now."""
        command = super().get_command(ctx, cmd_name)
        item = _with_commands(ctx).get(cmd_name) if command is None else None
        if item is not None and item.plugin is not None:
            command = typer.main.get_command(item.plugin.resolve("commands"))
            command.name = cmd_name  # --help lists it by this, whatever its function is called
        return command and _in_plain_words(command)


def _in_plain_words(command: Any) -> Any:
    """Let a command show its help as plain text, without options for shell completion."""
    command.rich_markup_mode = None
    command.short_help = (command.help or "").partition("\n\n")[0]
    command.params = [param for param in command.params if param.name not in _COMPLETION]
    for below in getattr(command, "commands", {}).values():
        _in_plain_words(below)
    return command


def _check_text(arguments: list[str]) -> None:
    """Raise UsageError for an argument that is no text, unless a file has that name."""
    for one in arguments:
        try:
            one.encode()
        except UnicodeEncodeError:
            if not os.path.lexists(one):
                raise UsageError(f"{one!a} is not valid text: write it in UTF-8") from None


def _check_place() -> None:
    """Raise UsageError if the working directory has been removed: paths are relative to it."""
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError(f"the working directory: {error.strerror}; go to another one") from error


def _log_as_set(settings: Settings) -> None:
    """Log warnings and errors only, unless the settings ask for more: commands show progress."""
    asked = "log_level" in settings.model_fields_set or settings.trace_signals
    configure_logging(
        settings.log_level if asked else "warning",
        settings.secrets(),
        keep_texts=settings.keep_texts,
    )


def _guarded(command: Callable[[], Any]) -> None:
    """Run a command; an expected error becomes one line and its exit code, Ctrl-C code 130."""
    try:
        with flushed():
            _check_place()
            command()
    except KeyboardInterrupt as interrupt:
        _complain(": ".join(["interrupted", *map(str, interrupt.args)]), style="")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except ReflectiveResonanceError as error:
        wrong = isinstance(error, SettingsError | PluginError)
        for line in str(error).split("\n"):
            _complain(f"wrong setting: {line}" if wrong else line)
        raise typer.Exit(error.exit_code) from error
    except OSError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_FAILED) from error


def _show_wrong_usage(error: typer.BadParameter) -> int:
    """Print one line for wrong usage, or the help if no command was given."""
    message = error.format_message()
    if message.startswith("Usage:"):
        messages().out(message)
    else:
        path = error.ctx.command_path if error.ctx else PROGRAM
        _complain(f"{' '.join(message.split()).rstrip('.')}; see `{path} --help`")
    return EXIT_USAGE


def _complain(line: str, style: str = "red") -> None:
    messages().print(line, style=style, soft_wrap=True)


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has ended, as `head` does
        discard_output()
    except OSError as error:
        _complain(f"standard output: {error.strerror}")
        discard_output()
        code = EXIT_FAILED
    sys.exit(code)


def _with_commands(ctx: Any) -> dict[str, Discovered]:
    """Return the plugins that have commands, by word; found once for a run of the program."""
    found: list[Discovered] | None = ctx.meta.get(__name__)
    if found is None:
        found = ctx.meta[__name__] = discover()
    some = [item for item in found if item.plugin and item.plugin.commands]
    return {(item.plugin and item.plugin.command) or item.name: item for item in some}
