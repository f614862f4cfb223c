"""`reflective-resonance soundcheck`: tries each channel, and measures a transducer."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.errors import ServerError, UsageError
from backend.plugins import Server, interruptible, server_in_settings
from backend.terminal import AsJson, messages, show_json, show_table
from plugins.playback.dishes import Channel, load_dishes
from plugins.playback.settings import PlaybackSettings
from plugins.playback.soundcheck.kinds import QUIET_DB, Signal

PATH = "/v1/playback/soundcheck"
FADE_S, LOOK_S = 0.2, 0.25
HELD = "the server has the card: `reflective-resonance plugins disable playback` while you measure"
AGAIN = (
    "--write: the channel has notches, which may be in the recording: take `notch` away in "
    "dishes.toml, give level_db its value of before, and record again"
)
Play = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes and returns what the route of the sound check does."""

app = typer.Typer(name="soundcheck", help="Try each channel, and measure its transducer.")

_Names = Annotated[list[str] | None, typer.Option(help="Number or name; else each channel.")]
_Kinds = Annotated[list[Signal] | None, typer.Option(help="Else number, as pulses, and buzz.")]
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

    Exit code: 0 on success, 1 if it cannot be played or measured, 2 on wrong usage, 130 on Ctrl-C.
    """
    for name, value in {"--input": device, "--recording": recording, "--write": write}.items():
        if value and not measure:
            raise UsageError(f"{name} belongs to --measure: add that")
    if file and file.suffix.lower() != ".wav":
        raise UsageError(f"--file {file}: the name must end in .wav")
    settings = PlaybackSettings.load()
    channels = load_dishes(settings.dishes).channels
    names = [one.name for one in channels]
    numbers = [_number(names, one) for one in channel or map(str, range(1, len(names) + 1))]
    rows: list[dict[str, Any]]
    rows = [{"channel": one, "name": names[one - 1], "levelDb": level} for one in numbers]
    with interruptible("the channels are silent"):
        if listing:
            rows = [_told(one, channels[one - 1]) for one in numbers]
        elif measure:
            if len(rows) != 1:
                raise UsageError("--measure: say which channel it is, by --channel")
            from plugins.playback.soundcheck import report

            number, bare = numbers[0], [replace(one, notch=(), delay_ms=0) for one in channels]
            if recording:
                y, sr = report.read(recording)
            else:
                with _player(settings, bare, None, HELD) as play:
                    y, sr = report.record(
                        device, partial(play, {**rows[0], "signal": Signal.SWEEP})
                    )
            rows = [report.analyse(y, sr, channels[number - 1])]
            if not as_json:
                report.show(rows[0])
            if write:
                if recording and channels[number - 1].notch:
                    raise UsageError(AGAIN)
                report.write(settings.dishes, number, rows[0]["lines"])
        else:
            with _player(settings, channels, file) as play:
                kinds = signal or (Signal.NUMBER, Signal.BUZZ)
                rows = [play({**row, "signal": kind}) for row in rows for kind in kinds]
    if as_json:
        show_json(rows)
    elif listing:
        heads = ("Channel", "Name", "Plays", "Level dB", "Cap dB", "Notches")
        show_table(heads, [tuple(map(_cell, row.values())) for row in rows])


def _told(number: int, channel: Channel) -> dict[str, Any]:
    """Return what a channel plays, and how."""
    return {
        "channel": number,
        "name": channel.name,
        "plays": [str(one) for one in channel.plays],
        "levelDb": channel.level_db,
        "capDb": channel.cap_db,
        "notch": [asdict(one) for one in channel.notch],
    }


def _cell(value: Any) -> str:
    """Return a value of a channel as a cell of the table."""
    if isinstance(value, dict):
        return "{hz:g} Hz {db:g} dB".format(**value)
    if isinstance(value, list):
        return ", ".join(map(_cell, value)) or "-"
    return value if isinstance(value, str) else f"{value:g}"


def _number(names: Sequence[str], text: str) -> int:
    """Return the number of a channel, from 1."""
    if text in names or (text.isdecimal() and 1 <= int(text) <= len(names)):
        return names.index(text) + 1 if text in names else int(text)
    raise UsageError(f"--channel {text}: there are 1 to {len(names)}: {', '.join(names)}")


@contextmanager
def _player(
    settings: PlaybackSettings, channels: Sequence[Channel], file: Path | None, held: str = ""
) -> Iterator[Play]:
    """Yield what plays a signal, on the server that has the card or here; fade at the end."""
    from plugins.playback.mixer import Mixer
    from plugins.playback.output import OutputError, open_output
    from plugins.playback.player import STOPPED
    from plugins.playback.soundcheck.checks import Check, SoundCheck

    server = server_in_settings()
    with ExitStack() as stack:
        if file is None and _plays(server):
            if held:
                raise UsageError(held)
            start: Play = partial(server.ask, "POST", PATH)
            stack.callback(_end, server)

            def problem() -> str:
                state = server.ask("GET", "/v1/playback")
                return STOPPED if state["stopped"] else str(state["problem"])
        else:
            chosen = settings.model_copy(update={"file": file or settings.file})
            opened = open_output(chosen, len(channels), partial(Mixer, channels))
            stack.callback(opened.close)
            check = SoundCheck(opened.mixer)
            stack.callback(time.sleep, FADE_S)
            stack.callback(check.stop)

            def problem() -> str:
                return opened.problem

            def start(asked: dict[str, Any]) -> dict[str, Any]:
                if opened.problem:
                    raise OutputError(opened.problem)
                return check.start(Check.model_validate(asked)).model_dump(by_alias=True)

        def play(asked: dict[str, Any]) -> dict[str, Any]:
            row = start(asked)
            messages().out("{channel} {name}: {signal} at {levelDb:g} dB".format(**row))
            end = time.monotonic() + row["durationS"] + FADE_S
            while (left_s := end - time.monotonic()) > 0:
                time.sleep(min(left_s, LOOK_S))
                if words := problem():
                    raise OutputError(words)
            return row

        yield play


def _end(server: Server) -> None:
    """Fade the signal; a server that is gone plays none."""
    with suppress(ServerError):
        server.ask("DELETE", PATH)


def _plays(server: Server) -> bool:
    """Return whether a server runs with playback."""
    try:
        return bool(server.ask("GET", "/v1/playback"))
    except ServerError:
        return False
