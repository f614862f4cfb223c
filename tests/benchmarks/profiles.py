"""What profiles make of some 80 recordings: `uv run python -m tests.benchmarks.profiles`.

The embedded voices; real ones that the package `moonshine-voice` ships; where `espeak-ng` and
`flite` are installed, a whisper, a child, and single words of men and a woman; and those of a
folder, `--recordings FOLDER`, such as Piper's or those that other packages ship.
`--vary steady=0.5` adds a row of `faraday` with another number.

The first eight seconds of each wave shake a dish of 75 by 10 mm, by 1 g at full scale and by
1.25 g. Two envelopes of the voice are compared with that of the waves: its means over 64 ms, and
its level on a meter with the attack, release and fades of `faraday`.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from plugins.waves.audio import reader, resample
from plugins.waves.decompose_v3 import decompose
from plugins.waves.profiles import Voice, faraday, find
from plugins.waves.v3.reference import rms, to_samples
from plugins.waves.water import RATE, Dish, G, respond
from tests.speech import LINES, LONG_LINES, speak

SR = 8000
PIECE_S, PIECES = 4, 5
BANDS_HZ = {"v3": (15, 240), "slots": (20, 100), "faraday": (15, 45)}
ESPEAK = {"whisper": "en+whisper", "child": "en+f5", "man": "en-us+m3"}
FLITE = ("kal", "awb", "rms", "slt")
WORDS = ("Yes.", "No.", "Water.", "Why?", "Stay.")
SPOKEN = 0.005
"""Root mean square of what counts as speech."""
SOON_S, LONG_S, SHAKEN_S = 1.5, 2, 8
MORE_G = 1.25

Array = npt.NDArray[np.float64]


def recordings(folder: Path, others: Path | None) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield recordings, each with where it is from."""
    paths = [("embedded", path) for path in speak(folder / "lines").values()]
    long_lines = speak(folder / "long", LONG_LINES).items()
    paths += [("embedded", path) for (_, line), path in long_lines if line == 0]
    paths += [("eSpeak NG", path) for path in _by_espeak(folder)]
    paths += [("flite", path) for path in _by_flite(folder)]
    paths += [("folder", path) for path in sorted(others.glob("*.wav") if others else ())]
    read = [(kind, reader.read(path, rate=SR).samples) for kind, path in paths]
    yield from read
    yield "a minute", np.concatenate([y for _, y in read] * 2)[: 60 * SR]
    yield from (("real", y) for y in _real())


def _by_espeak(folder: Path) -> Iterator[Path]:
    if shutil.which("espeak-ng") is None:
        return
    for name, voice in ESPEAK.items():
        pitch = "95" if name == "child" else "50"
        for number, text in enumerate(WORDS if name == "man" else LINES):
            path = folder / f"{name}_{number}.wav"
            subprocess.run(["espeak-ng", "-v", voice, "-p", pitch, "-w", path, text], check=True)
            yield path


def _by_flite(folder: Path) -> Iterator[Path]:
    if shutil.which("flite") is None:
        return
    for voice in FLITE:
        for number, text in enumerate((WORDS[0], *LINES[1:3])):
            path = folder / f"{voice}_{number}.wav"
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True)
            yield path


def _real() -> Iterator[npt.NDArray[np.float32]]:
    spec = find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        return
    for name in ("beckett", "two_cities"):
        path = Path(spec.origin).parent / "assets" / f"{name}.wav"
        y = reader.read(path, rate=SR).samples
        for piece in range(PIECES):
            yield y[piece * PIECE_S * SR : (piece + 1) * PIECE_S * SR]


def made(name: str, voice: Voice, numbers: Mapping[str, Any]) -> Array:
    """Return the waves of a profile."""
    return decompose(voice.samples).waves if name == "v3" else find(name).make(voice, numbers)


def envelope(wave: Array) -> Array:
    """Return the amplitude, a value for each sample."""
    size = 1 << (2 * wave.size).bit_length()
    spectrum = np.fft.fft(wave, size)
    spectrum[1 : size // 2] *= 2
    spectrum[size // 2 :] = 0
    amplitude: Array = np.abs(np.fft.ifft(spectrum))[: wave.size]
    return amplitude


def judged(name: str, voice: Voice, numbers: Mapping[str, Any], dish: Dish) -> dict[str, float]:
    """Return the scores of one recording."""
    waves = made(name, voice, numbers)
    low, high = BANDS_HZ[name]
    mix = waves.sum(axis=0)
    power = np.abs(np.fft.rfft(waves, axis=1)) ** 2
    hertz = np.fft.rfftfreq(mix.size, 1 / SR)
    peak = float(np.abs(waves).max())
    sine_step = 2 * np.pi * high / SR * max(peak, 1e-9)
    given = faraday.Numbers(**(numbers if name == "faraday" else {}))
    meter = to_samples(faraday.followed(voice.loudness, given), mix.size)
    meter *= faraday._fades(mix.size, given.fade_s)  # every wave has to end softly
    shaken = np.clip(waves[:, : SHAKEN_S * SR], -1, 1).astype(np.float32)
    drives = [resample(wave, SR, RATE) for wave in shaken]
    answers = [respond(dish, drive, G) for drive in drives]
    soon = int(SOON_S * RATE)
    more = [respond(dish, drive[:soon], MORE_G * G) for drive in drives]
    return {
        "silent": float(peak < 0.01),
        "raw": np.corrcoef(rms(mix), voice.loudness)[0, 1] if peak > 0 else 0.0,
        "meter": np.corrcoef(envelope(mix), meter)[0, 1] if peak > 0 else 0.0,
        "in band": power[:, (hertz >= low) & (hertz <= high)].sum() / max(power.sum(), 1e-12),
        "step": float(np.abs(np.diff(waves)).max()) / sine_step,
        "peak": peak,
        "clipped": float((np.abs(waves) > 1).any()),
        "seen": min(one.seen_after_s or np.inf for one in answers),
        "soon by more": float(any(one.seen_after_s for one in more)),
        "highest": 1000 * max(one.highest_m for one in answers),
        "long": float(voice.samples.size >= LONG_S * SR),
    }


def _cells(rows: list[dict[str, float]]) -> list[str]:
    each = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    is_long = each["long"] > 0
    seen, by_more = each["seen"][is_long], each["soon by more"][is_long]
    peak_db = 20 * np.log10(each["peak"].max())
    return [
        f"{each['silent'].sum():.0f}",
        f"{each['raw'].min():.2f} / {each['raw'].mean():.2f}",
        f"{each['meter'].min():.3f} / {each['meter'].mean():.3f}",
        f"{each['in band'].min():.4f}",
        f"{each['step'].max():.2f}",
        f"{peak_db:.1f} dBFS",
        f"{max(0, -peak_db):.1f} dB",
        f"{each['clipped'].sum():.0f}",
        f"{(seen <= SOON_S).sum()}, {by_more.sum():.0f} of {seen.size}",
        f"{np.median(seen):.2f} s",
        f"{each['highest'].max():.2f} mm",
    ]


def main() -> None:
    """Print the scores, a row for each profile."""
    parser = argparse.ArgumentParser(description="What profiles make of recordings.")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="more WAV files")
    parser.add_argument("--vary", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [
            (kind, np.ascontiguousarray(y))
            for kind, y in recordings(Path(folder), options.recordings)
            if y.size and y.std() > SPOKEN
        ]
    kinds = [kind for kind, _ in found]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    voices = [Voice(y, 1 + number % 6) for number, (_, y) in enumerate(found)]
    table = Table(
        "profile",
        title=f"Waves of {len(voices)} recordings: {counts}",
        caption=f"soon: 0.5 mm within {SOON_S} s, of those of {LONG_S} s and more",
    )
    for column in (
        *("silent", "at 64 ms min / mean", "as a meter min / mean", "in band min", "step max"),
        *("peak max", "headroom", "clipped", "soon by 1, 1.25 g", "median", "highest"),
    ):
        table.add_column(column)
    varied = [one.partition("=") for one in options.vary]
    sets: list[tuple[str, str, dict[str, float]]] = [(name, name, {}) for name in BANDS_HZ]
    sets += [(f"{key} {value}", "faraday", {key: float(value)}) for key, _, value in varied]
    with ProcessPoolExecutor() as pool:
        for label, name, numbers in sets:
            judge = partial(judged, name, numbers=numbers, dish=Dish())
            table.add_row(label, *_cells(list(pool.map(judge, voices))))
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
