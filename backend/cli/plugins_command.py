"""The command `plugins`: shows, switches and begins plugins."""

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from subprocess import list2cmdline
from typing import Annotated

import typer

from backend.errors import EXIT_FAILED
from backend.plugins import discover, server_in_settings
from backend.terminal import AsJson, output, show_json

app = typer.Typer(help="Show the plugins, switch one while the server runs, or begin a new one.")

Name = Annotated[str, typer.Argument(help="Name of the plugin, such as osc.")]


@app.callback(invoke_without_command=True)
def plugins(context: typer.Context, as_json: AsJson = False) -> None:
    """Show each plugin: on or off, its state, signals, routes and commands.

    The state is what the running server reports. The exit code is 1 if a plugin has failed.
    """
    if context.invoked_subcommand:
        return
    from backend.cli.plugins import installed_plugins, server_states
    from backend.cli.plugins import show as show_plugins

    found = installed_plugins(discover(), *server_states())
    if as_json:
        show_json([asdict(one) for one in found])
    else:
        show_plugins(found)
    if not all(one.ok for one in found):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def enable(name: Name, as_json: AsJson = False) -> None:
    """Start a plugin on the server that runs, with its settings read anew."""
    _switch(name, as_json, enabled=True)


@app.command()
def disable(name: Name, as_json: AsJson = False) -> None:
    """Stop a plugin on the server that runs; its setting stays as it is."""
    _switch(name, as_json, enabled=False)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new plugin, such as tide_table.")],
    directory: Annotated[
        Path, typer.Option(metavar="DIR", help="Where its folder is made.")
    ] = Path(".."),
    signal: Annotated[bool, typer.Option("--signal", help="It sends a signal.")] = False,
) -> None:
    """Write the package of a new plugin, with a test that it passes.

    What is printed are the next two commands: they install and test it.
    """
    from backend.cli.new_plugin import write_plugin

    folder = write_plugin(name, directory, [one.name for one in discover()], signal=signal)
    quoted = list2cmdline([str(folder)]) if os.name == "nt" else shlex.quote(str(folder))
    output().out(f"uv pip install --editable {quoted}\nuv run pytest {quoted}")


def _switch(name: str, as_json: bool, *, enabled: bool) -> None:
    """Exit code: 0 if it is as wanted, 1 if not."""
    state = server_in_settings().ask("POST", f"/v1/plugins/{name}", {"enabled": enabled})
    if as_json:
        show_json({"name": name, **state})
    else:
        reason = f": {state['reason']}" if state["reason"] else ""
        output().out(f"{name} is {state['state']}{reason}")
    if (state["state"] == "failed") or (state["state"] == "disabled") is enabled:
        raise typer.Exit(EXIT_FAILED)
