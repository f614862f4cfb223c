"""Records the sweep, shows the response that is in it, and changes `dishes.toml` as proposed."""

import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from backend.errors import UsageError
from backend.storage import write_bytes
from backend.terminal import output, show_table
from plugins.playback.dishes import Channel
from plugins.playback.output import sound_devices
from plugins.playback.soundcheck.measuring import HERTZ, Array, Response, measure
from plugins.playback.soundcheck.proposing import POINTS, notches_db, propose

TAIL_MS = 2000  # recorded after the sweep: the latencies, and the end of a resonance
BANDS = np.geomspace(HERTZ[0], HERTZ[-1], 19)  # in Hertz, as they are shown
BAND, RESONANCE = ("hz", "db", "noiseDb", "afterDb"), ("hz", "q", "overDb")
PLOT_DB = 1.5  # of a sign of the plot


def read(path: Path) -> tuple[Array, int]:
    """Return the samples of a recording, its channels mixed, and their rate in Hertz."""
    if not path.is_file():
        raise UsageError(f"--recording {path}: no such file")
    try:
        y, sr = soundfile.read(path, always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise UsageError(f"--recording {path}: {error}") from error
    return y.mean(axis=1), sr


def record(device: str, play: Callable[[], object]) -> tuple[Array, int]:
    """Return what an input of the sound card gets while `play` runs, and its rate in Hertz."""
    sd = sound_devices()
    heard: list[Array] = []
    try:
        found = sd.query_devices(int(device) if device.isdecimal() else device or None, "input")
        sr = round(found["default_samplerate"])
        keep = lambda data, *_: heard.append(data[:, 0].copy())  # noqa: E731
        with sd.InputStream(sr, device=found["index"], channels=1, callback=keep):
            play()
            sd.sleep(TAIL_MS)
    except (ValueError, sd.PortAudioError) as error:
        if "device -1" in str(error):  # there is no default one
            raise UsageError(
                "--input: there is no input: connect one, or use --recording"
            ) from error
        raise UsageError(f"--input {device}: {error}") from error
    return np.concatenate(heard), sr


def analyse(y: Array, sr: int, channel: Channel) -> dict[str, Any]:
    """Return what a recording of a channel shows, and what is proposed in place of its notches.

    They are in the recording, and its level may make up for them already: it stays.
    """
    heard, taken_db = measure(y, sr), notches_db(channel.notch, HERTZ)
    bare = Response(heard.db - taken_db, heard.noise_db - taken_db)
    found = propose(bare)
    after = np.interp(POINTS, HERTZ, bare.db) + notches_db(found.notches)
    curves = ((HERTZ, heard.db), (HERTZ, heard.noise_db), (POINTS, after))
    bands = np.stack((BANDS, *(np.interp(BANDS, *one) for one in curves)), axis=1).round(1)
    notches = [f"{{hz = {one.hz}, db = {one.db}, width = {one.width}}}" for one in found.notches]
    lines = {"notch": f"[{', '.join(notches)}]"}
    if not channel.notch:
        lines = {"level_db": str(round(channel.level_db + found.gain_db, 1)), **lines}
    return {
        "name": channel.name,
        "bands": [dict(zip(BAND, row, strict=True)) for row in bands.tolist()],
        "resonances": [
            dict(zip(RESONANCE, np.round(one, 1).tolist(), strict=True)) for one in found.resonances
        ],
        "flatHz": [round(found.low_hz, 1), round(found.high_hz, 1)],
        "lines": lines,
    }


def show(row: Mapping[str, Any]) -> None:
    """Print the response as a table with a plot, and the lines that are proposed."""
    floor = min(one["db"] for one in row["bands"])
    bars = ["#" * round((one["db"] - floor) / PLOT_DB) for one in row["bands"]]
    cells = [(*map(str, one.values()), bar) for one, bar in zip(row["bands"], bars, strict=True)]
    show_table(("Hz", "Level dB", "Noise dB", "As proposed dB", ""), cells)
    said = ["resonance at {hz} Hz, Q {q}, {overDb} dB".format(**one) for one in row["resonances"]]
    low_hz, high_hz = row["flatHz"]
    said.append(f"{row['name']} is flat from {low_hz} to {high_hz} Hz (2 dB) with, in dishes.toml:")
    said += [f"{key} = {value}" for key, value in row["lines"].items()]
    if "level_db" not in row["lines"]:
        said.append("level_db stays: it may make up for the notches that are there")
    output().out("\n".join(said))


def write(path: Path | None, number: int, lines: Mapping[str, str]) -> None:
    """Put lines into the table of a channel in `dishes.toml`; all else in it stays."""
    if path is None:
        raise UsageError("--write: RR_PLAYBACK_DISHES names no file")
    with suppress(ValueError):  # it is not UTF-8, or no TOML any more
        text = path.read_bytes().decode()
        wanted = tomllib.loads(text)
        parts = re.split(r"(?m)^(?=[ \t]*\[\[channel\]\])", text)
        for key, value in lines.items():
            wanted["channel"][number - 1] |= tomllib.loads(new := f"{key} = {value}")
            old = rf"(?m)^[ \t]*{key}[ \t]*=[^#\r\n]*?(?=\s*?(?:#.*)?$)"
            part, found = re.subn(old, new, parts[number], count=1)
            parts[number] = part if found else re.sub(r"\n|$", f"\n{new}\n", part, count=1)
        if tomllib.loads(text := "".join(parts)) == wanted:
            return write_bytes(path, text.encode(), path.parent)
    raise UsageError(f"--write: {path} cannot be changed line by line: do it yourself")
