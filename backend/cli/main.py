"""The commands of the host; each imports what it needs when it runs, so that `--help` is quick."""

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from backend.cli.group import PROGRAM, CommandGroup
from backend.cli.plugins_command import app as plugins_app
from backend.cli.simulate import simulate
from backend.config import EffectiveSetting, Settings, dotted, effective, read_toml
from backend.errors import EXIT_FAILED, PluginError, SettingsError, UsageError
from backend.logs import configure_logging
from backend.plugins import Discovered, discover
from backend.terminal import AsJson, messages, output, show_json, show_paragraph

T = TypeVar("T")

DEFAULT_WORDS = "Good evening. I am one of six voices, and the water is listening."
DEFAULT_MESSAGE = "What does the water remember?"
MAX_SLOTS = 6

app = typer.Typer(
    name=PROGRAM,
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="An installation that answers a visitor with six voices and moves water with them.",
)

Artifacts = Annotated[
    Path | None,
    typer.Option("--artifacts", metavar="DIR", help="The directory of speech and waves."),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version(PROGRAM))
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
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser once it is there.")
    ] = False,
) -> None:
    """Run the server until Ctrl-C."""
    settings, discovered = _load(host=host, port=port, artifacts_dir=artifacts)
    configure_logging(settings.log_level, settings.secrets(), keep_texts=settings.keep_texts)
    from backend.http.server import run

    has_console = any(_is_on(item) for item in discovered if item.name == "console")

    def show_address() -> None:
        address = settings.base_url
        parts = [f"open {address} in a browser"]
        if has_console:
            parts.append(f"{address}/console is the artist's page")
        if settings.host == "0.0.0.0":  # noqa: S104 - compared, not bound
            parts.append(f"other machines open {address.replace('127.0.0.1', _own_address())}")
        messages().print("; ".join(parts), soft_wrap=True)
        if open_page:
            import webbrowser

            webbrowser.open(address)

    def on_thread() -> None:  # a terminal or a browser that hangs stops nothing else
        threading.Thread(target=show_address, name="address", daemon=True).start()

    raise typer.Exit(run(settings, discovered, on_thread))


def _own_address() -> str:
    """Return the address of this machine on its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:  # no network
            return socket.gethostname()
        return str(probe.getsockname()[0])


@app.command()
def rehearse(
    message: Annotated[
        str | None, typer.Argument(help="What the visitor says.", show_default=DEFAULT_MESSAGE)
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_SLOTS,
            help="Number of speakers that answer.",
            show_default=str(MAX_SLOTS),
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes the session repeatable.")] = None,
    artifacts: Artifacts = None,
    speak: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A recording of what the visitor says, not a message."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="SESSION",
            help="An earlier session, or `last`, whose message, slots and seed are kept; what is "
            "given beside it wins.",
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", help="Show the path of each recording, and when its waves are ready."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run one session without a server, and wait for its waves."""
    settings, discovered = _load(artifacts_dir=artifacts, seed=seed)
    from backend.cli.rehearse import earlier, show
    from backend.cli.rehearse import rehearse as run

    recording = b""
    if speak is not None:
        from backend.cli.hear import read

        if message is not None:
            raise UsageError("either a message or --speak FILE: leave one of them out")
        recording = read(speak)
    placed: int | dict[int, str] = slots or MAX_SLOTS
    if like is not None:
        session = earlier(settings.artifacts_dir, like)
        placed = slots or session.slots
        if message is None and not recording and (message := session.message) is None:
            raise UsageError(
                f"of the session {session.session_id} no message is kept, as what visitors say "
                f'never is: write it yourself, as in `rehearse "Good evening" --like {like}`'
            )
        if seed is None:
            settings = settings.model_copy(update={"seed": session.seed})
    words = DEFAULT_MESSAGE if message is None else message
    progress = messages()
    report = asyncio.run(
        run(settings, discovered, words, placed, progress, recording=recording, verbose=verbose)
    )
    if as_json:
        show_json(report.to_dict())
    else:
        show(report)
    for problem in report.problems:
        show_paragraph(progress, problem, style="red")
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


app.command()(simulate)


@app.command()
def config(as_json: AsJson = False) -> None:
    """Show each setting with its value and its source; secrets are redacted."""
    settings, discovered = _load()
    sections: dict[str, list[EffectiveSetting]] = {"host": effective(settings)}
    for item in discovered:
        if item.plugin is not None:
            sections[item.name] = effective(item.plugin.settings.load())
    from backend.runtime import unread_settings

    unread = unread_settings(settings, discovered)
    files = {
        str(path): dotted(read_toml(path)[0])
        for path in (settings.agents_file, settings.voices_file)
        if path is not None
    }
    if as_json:
        rows: dict[str, Any] = {
            name: {row.variable: {"value": row.value, "source": row.source} for row in section}
            for name, section in sections.items()
        }
        read = {path: dict(found) for path, found in files.items()}
        show_json({**rows, "files": read, "unread": [asdict(one) for one in unread]})
        return
    console = output()
    for name, section in sections.items():
        console.print(name, style="bold")
        for row in section:
            console.print(f"  {row.variable}={row.value}  ({row.source})", soft_wrap=True)
            show_paragraph(console, row.description, (6, 6), "dim")
    for path, found in files.items():
        console.print(path, style="bold", soft_wrap=True)
        for key, value in found:
            console.print(f"  {key}={value}", soft_wrap=True)
    for one in unread:
        show_paragraph(console, f"not read: {one}", style="red")


@app.command()
def doctor(
    artifacts: Artifacts = None,
    as_json: AsJson = False,
    server_runs: Annotated[bool, typer.Option("--server-runs", hidden=True)] = False,
) -> None:
    """Check that this machine can run the installation."""
    settings, discovered = _load(artifacts_dir=artifacts)
    from backend.cli.doctor import examine

    findings = examine(settings, discovered, messages().print, server_runs=server_runs)
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        console = output()
        for finding in findings:
            mark, style = ("ok    ", "") if finding.ok else ("FAILED", "red")
            line = f"{mark}  {finding.check}: {finding.detail}"
            show_paragraph(console, line, (0, 8), style)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILED)


app.add_typer(plugins_app, name="plugins")


@app.command()
def signals(as_json: AsJson = False) -> None:
    """Show each signal: its meaning, payload, sender, thread and the plugins that listen.

    The exit code is 1 if a plugin has failed: its signals may be missing.
    """
    from backend.cli.plugins import plugins_with_signals, server_states
    from backend.cli.signals import installed_signals, undeclared
    from backend.cli.signals import show as show_signals

    found = plugins_with_signals(discover(), *server_states())
    rows = installed_signals(found)
    if as_json:
        show_json({"signals": [asdict(one) for one in rows], "undeclared": undeclared(found)})
    else:
        show_signals(rows, undeclared(found))
    failed = [one for one in found if not one.ok]
    for one in failed:
        problem = "; ".join(filter(None, (one.reason, *one.problems)))
        show_paragraph(messages(), f"plugin {one.name}: {problem}", style="red")
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def voices(
    say: Annotated[
        str, typer.Option(metavar="TEXT", help="The text that is spoken.")
    ] = DEFAULT_WORDS,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The directory of the samples.")] = Path(
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


@app.command()
def hear(
    file: Annotated[Path, typer.Argument(help="A webm, mp4, m4a, ogg, wav, mp3 or flac file.")],
    language: Annotated[
        str, typer.Option(metavar="CODE", help="Language of the recording, such as en.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what is understood of a recording; nothing is kept."""
    settings, _ = _load()
    from backend.cli.hear import transcribe

    heard = asyncio.run(transcribe(settings, file, language))
    if as_json:
        show_json(heard)
    else:
        output().print(heard["text"], soft_wrap=True, markup=False, highlight=False)


def _is_on(item: Discovered) -> bool:
    return item.plugin is not None and item.plugin.settings.load().enabled


def _load(**overrides: object) -> tuple[Settings, list[Discovered]]:
    """Read all settings, also those of plugins, and check the agents' file; tell all problems."""
    from backend.agents import check_agents
    from backend.speech import load_voices

    problems: list[str] = []

    def checked(check: Callable[[], T]) -> T | None:
        try:
            return check()
        except (SettingsError, PluginError) as error:
            problems.append(str(error))
            return None

    settings = checked(lambda: Settings.load(**overrides))
    discovered = discover()
    for item in discovered:
        if item.plugin is not None:
            checked(item.plugin.settings.load)
    if settings is not None:
        checked(lambda: check_agents(settings))
        checked(lambda: load_voices(settings.voices_file))
    if settings is None or problems:
        raise SettingsError("\n".join(dict.fromkeys(problems)))
    return settings, discovered
