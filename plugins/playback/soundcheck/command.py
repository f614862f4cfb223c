"""`reflective-resonance soundcheck`: tries each channel, and measures a transducer."""

import re
import signal as signals
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.alias_generators import to_camel

from backend.errors import NoServerError, ServerError, UsageError
from backend.plugins import (
    Server,
    existing_artifacts,
    interruptible,
    server_in_settings,
    spoken,
)
from backend.terminal import AsJson, messages, show_json, show_table
from plugins.playback.dishes import Dishes, load_dishes
from plugins.playback.kinds import QUIET_DB, Signal
from plugins.playback.settings import PlaybackSettings

STATE = "/v1/playback"
PATH = f"{STATE}/soundcheck"
FADE_S, LOOK_S = 0.2, 0.25
AGAIN = (
    "--write: the recording may be older than the channel's notches: record with --input, or take "
    "`notch` away in dishes.toml, give level_db its value of before, and record again"
)
EARLIER = (
    "the server plays by an earlier dishes.toml: `reflective-resonance plugins disable playback`, "
    "then `plugins enable playback`"
)
STOPPED = (
    "no test signal is played: an emergency stop holds until POST /v1/playback/release, or "
    "until you remove"
)
_OFF = re.compile(r"'playback' is not running: (disabled|failed|not installed)")
TAKEN = "another signal took its place"
ENDED = "it was ended by another program, or on the artist's page"
Play = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes and returns what the route of the sound check does."""

app = typer.Typer(name="soundcheck", help="Try each channel, and measure its transducer.")

_Names = Annotated[list[str] | None, typer.Option(help="Number or name; else each channel.")]
_Kinds = Annotated[list[Signal] | None, typer.Option(help="Else number, spoken, and buzz.")]
_Level = Annotated[float, typer.Option(min=-80, max=0, help="dB of full scale; the cap holds.")]
_List = Annotated[bool, typer.Option("--list", help="Only list the channels.")]
_File = Annotated[Path | None, typer.Option(help="WAV file of all channels, in a card's place.")]
_Measure = Annotated[bool, typer.Option("--measure", help="Show how a channel answers a sweep.")]
_Input = Annotated[str, typer.Option("--input", help="Where its sensor is: number or name.")]
_Recording = Annotated[Path | None, typer.Option(help="WAV file of the sweep, to be measured.")]
_Write = Annotated[bool, typer.Option("--write", help="Add what is proposed to dishes.toml.")]


@app.command()
def soundcheck(
    channel: _Names = None,
    signal: _Kinds = None,
    level: _Level = QUIET_DB,
    listing: _List = False,
    file: _File = None,
    measure: _Measure = False,
    device: _Input = "",
    recording: _Recording = None,
    write: _Write = False,
    as_json: AsJson = False,
) -> None:
    """Play test signals on each channel by its name, or measure how its transducer answers.

    It begins quietly: raise --level yourself. Ctrl-C fades to silence at once. A server that runs
    with playback plays the signals itself.

    Exit code: 0 on success, 1 if it cannot be played or measured, 2 on wrong usage, 130 on Ctrl-C,
    143 and 129 on SIGTERM and SIGHUP.
    """
    for name, value in {"--input": device, "--recording": recording, "--write": write}.items():
        if value and not measure:
            raise UsageError(f"{name} belongs to --measure: add that")
    if file and file.suffix.lower() != ".wav":
        raise UsageError(f"--file {file}: the name must end in .wav")
    settings = PlaybackSettings.load(**({"file": file} if file else {}))
    dishes = load_dishes(settings.dishes)
    names = [one.name for one in dishes.channels]
    numbers = [dishes.number(one) for one in channel or names]
    if 0 in numbers:
        wrong, known = (channel or names)[numbers.index(0)], ", ".join(names)
        raise UsageError(f"--channel {wrong}: there are 1 to {len(names)}: {known}")
    asked = [{"channel": one, "levelDb": level} for one in numbers]
    with interruptible("the channels are silent"), _ended_by_signals():
        if listing:
            rows = [{"channel": one, **dishes.channels[one - 1].table()} for one in numbers]
            with suppress(ServerError):
                if _is_earlier(_state(server_in_settings()), dishes):
                    messages().out(EARLIER)
        elif measure:
            if len(numbers) != 1:
                raise UsageError("--measure: say which channel it is, by --channel")
            from plugins.playback.soundcheck import report

            measured = dishes.channels[numbers[0] - 1]
            if recording:
                y, sr = report.read(recording)
            else:
                with _player(settings, dishes, None) as play:
                    sweep = partial(play, {**asked[0], "signal": Signal.SWEEP})
                    y, sr = report.record(device, sweep)
            rows = [report.analyse(y, sr, measured)]
            if not as_json:
                report.show(rows[0])
            if write and recording and measured.notch:
                raise UsageError(AGAIN)
            if write:
                lines = rows[0]["lines"]
                report.write(settings.dishes, numbers[0], lines)
                said = ", ".join(f"{key} = {value}" for key, value in lines.items())
                messages().out(f"{settings.dishes}: {measured.name} has now {said}")
        else:
            with _player(settings, dishes, file) as play:
                kinds = signal or (Signal.NUMBER, Signal.BUZZ)
                rows = [play({**one, "signal": kind}) for one in asked for kind in kinds]
    if as_json:
        show_json(rows)
    elif listing:
        show_table([*rows[0]], [tuple(map(_cell, row.values())) for row in rows])


def _cell(value: Any) -> str:
    """Return a value of a channel as a cell of the table."""
    if isinstance(value, dict):
        return "{hz:g} Hz {db:g} dB".format(**value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value)) or "-"
    return value if isinstance(value, str) else f"{value:g}"


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End the block at SIGTERM and SIGHUP, where there are such signals, as Ctrl-C would."""

    def end(number: int, _: object) -> None:
        for one in before:
            signals.signal(one, signals.SIG_IGN)  # a closed terminal may send several
        raise SystemExit(128 + number)

    each = [getattr(signals, name, None) for name in ("SIGTERM", "SIGHUP")]
    before = {one: signals.getsignal(one) for one in each if one}
    for one, handler in before.items():
        if handler != signals.SIG_IGN:  # nohup
            signals.signal(one, end)
    try:
        yield
    finally:
        for one, handler in before.items():
            signals.signal(one, handler or signals.SIG_DFL)


@contextmanager
def _player(settings: PlaybackSettings, dishes: Dishes, file: Path | None) -> Iterator[Play]:
    """Yield what plays a signal, on the server that has the card or here; fade at the end."""
    from plugins.playback.checks import SoundCheck
    from plugins.playback.output import OutputError, open_output
    from plugins.playback.player import MARKER
    from plugins.playback.player import STOPPED as STOPPED_THERE

    server, mine = server_in_settings(), 0
    with ExitStack() as stack:
        if file is None and (state := _state(server)):
            if _is_earlier(state, dishes):
                raise UsageError(EARLIER)
            start: Play = partial(server.ask, "POST", PATH)

            @stack.callback
            def end() -> None:
                with suppress(ServerError):  # a signal of somebody else is left
                    if not mine or server.ask("GET", STATE)["check"] == mine:
                        server.ask("DELETE", PATH)

            def problem() -> str:
                state = server.ask("GET", STATE)
                if state["stopped"] or state["problem"]:
                    return STOPPED_THERE if state["stopped"] else str(state["problem"])
                return "" if state["check"] == mine else TAKEN if state["check"] else ENDED
        else:
            with suppress(UsageError):  # no server was ever started there
                marker = existing_artifacts(None).root / MARKER
                if file is None and marker.exists():
                    raise OutputError(f"{STOPPED} {marker}")
            try:
                opened = open_output(settings, dishes.channels)
            except OutputError as error:
                raise OutputError(_blamed(str(error), file)) from error
            stack.callback(opened.close)
            check = SoundCheck(opened.mixer)
            stack.callback(time.sleep, FADE_S)
            stack.callback(check.stop)

            def problem() -> str:
                return _blamed(opened.problem, file)

            def start(asked: dict[str, Any]) -> dict[str, Any]:
                number, signal, level_db = (asked[key] for key in ("channel", "signal", "levelDb"))
                speech = spoken(str(number)) if signal is Signal.NUMBER else b""
                return check.start(number, signal, level_db, speech).model_dump(by_alias=True)

        def play(asked: dict[str, Any]) -> dict[str, Any]:
            nonlocal mine
            mine = 0
            row = start(asked)
            mine = row["id"]
            messages().out("{channel} {name}: {signal} at {levelDb:g} dB".format(**row))
            end = time.monotonic() + row["durationS"] + FADE_S
            while (left_s := end - time.monotonic()) > 0:
                time.sleep(min(left_s, LOOK_S))
                if words := problem():
                    raise OutputError(words)
            return row

        yield play


def _state(server: Server) -> dict[str, Any] | None:
    """Return how playback is on the server; None if nothing listens, or it is off there."""
    try:
        return dict(server.ask("GET", STATE))
    except NoServerError:
        return None
    except ServerError as error:
        if error.status == HTTPStatus.NOT_FOUND or _OFF.search(str(error)):
            return None
        raise


def _is_earlier(state: dict[str, Any] | None, dishes: Dishes) -> bool:
    """Return whether a server plays by other channels than `dishes`."""
    mine = [{to_camel(key): value for key, value in one.table().items()} for one in dishes.channels]
    there = zip(state["channels"], mine, strict=False) if state else ()
    return state is not None and (
        len(state["channels"]) != len(mine)
        or any({key: one.get(key) for key in wanted} != wanted for one, wanted in there)
    )


def _blamed(words: str, file: Path | None) -> str:
    """Return what is said of the output, with the name of the option for a file of that."""
    return words.replace("RR_PLAYBACK_FILE=", "--file ") if file else words
