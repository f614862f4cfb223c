"""What profiles make of 60 recordings: `uv run python -m tests.benchmarks.profiles`.

The embedded voices, real voices that the package `moonshine-voice` ships, and, where `espeak-ng` is
installed, a whisper, a child and single words of a man. Each wave shakes a dish of 75 by 10 mm with
1 g at full scale. An envelope is that of the analytic signal, means over 64 ms; the voice's is
followed as water follows it, with the attack and release of `faraday`.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from plugins.waves.audio import reader, resample
from plugins.waves.decompose_v3 import decompose
from plugins.waves.profiles import Voice, faraday, find
from plugins.waves.v3.reference import rms
from plugins.waves.water import RATE, Dish, G, respond
from tests.speech import LINES, LONG_LINES, speak

SR = 8000
PIECE_S, PIECES = 4, 5
BANDS_HZ = {"v3": (15, 240), "slots": (20, 100), "faraday": (15, 45)}
ESPEAK = {"whisper": "en+whisper", "child": "en+f5", "man": "en-us+m3"}
WORDS = ("Yes.", "No.", "Water.", "Why?", "Stay.")
SPOKEN = 0.005
"""Root mean square of what counts as speech."""

Array = npt.NDArray[np.float64]


def recordings(folder: Path) -> Iterator[Voice]:
    """Yield the voices, in slots 1 to 6 by turns."""
    paths = [*speak(folder / "lines").values()]
    paths += [path for (_, line), path in speak(folder / "long", LONG_LINES).items() if line == 0]
    samples = [reader.read(path, rate=SR).samples for path in [*paths, *_by_espeak(folder)]]
    minute = np.concatenate([*samples] * 2)[: 60 * SR]
    for number, y in enumerate([*samples, minute, *_real()]):
        yield Voice(np.ascontiguousarray(y), 1 + number % 6)


def _by_espeak(folder: Path) -> Iterator[Path]:
    if shutil.which("espeak-ng") is None:
        return
    for name, voice in ESPEAK.items():
        pitch = "95" if name == "child" else "50"
        for number, text in enumerate(WORDS if name == "man" else LINES):
            path = folder / f"{name}_{number}.wav"
            subprocess.run(["espeak-ng", "-v", voice, "-p", pitch, "-w", path, text], check=True)
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


def made(name: str, voice: Voice) -> Array:
    """Return the waves of a profile by its defaults."""
    return decompose(voice.samples).waves if name == "v3" else find(name).make(voice, {})


def envelope(wave: Array) -> Array:
    """Return the amplitude, a value for each sample."""
    size = 1 << (2 * wave.size).bit_length()
    spectrum = np.fft.fft(wave, size)
    spectrum[1 : size // 2] *= 2
    spectrum[size // 2 :] = 0
    amplitude: Array = np.abs(np.fft.ifft(spectrum))[: wave.size]
    return amplitude


def judged(name: str, voice: Voice, dish: Dish) -> dict[str, float]:
    """Return the scores of one recording."""
    waves = made(name, voice)
    low, high = BANDS_HZ[name]
    mix = waves.sum(axis=0)
    power = np.abs(np.fft.rfft(waves, axis=1)) ** 2
    hertz = np.fft.rfftfreq(mix.size, 1 / SR)
    peak = float(np.abs(waves).max())
    sine_step = 2 * np.pi * high / SR * max(peak, 1e-9)
    followed = faraday.envelope(voice, faraday.Numbers())
    raw = np.corrcoef(rms(mix), voice.loudness)[0, 1] if peak > 0 else 0.0
    answers = [
        respond(dish, resample(np.clip(wave, -1, 1).astype(np.float32), SR, RATE), G)
        for wave in waves
    ]
    return {
        "silent": float(peak < 0.01),
        "correlation": np.corrcoef(envelope(mix), followed)[0, 1] if peak > 0 else 0.0,
        "raw": raw,
        "in band": power[:, (hertz >= low) & (hertz <= high)].sum() / max(power.sum(), 1e-12),
        "step": float(np.abs(np.diff(waves)).max()) / sine_step,
        "peak": peak,
        "seen": min(one.seen_after_s or np.inf for one in answers),
        "highest": 1000 * max(one.highest_m for one in answers),
        "long": float(voice.samples.size >= 2 * SR),
    }


def main() -> None:
    dish = Dish()
    table = Table("profile", title="Waves of recordings by profile")
    for column in (
        *("silent", "envelope min / mean", "at 64 ms min / mean", "in band min", "step max"),
        *("peak max", "0.5 mm in 1.5 s, of 2 s and more", "median", "highest"),
    ):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        voices = [
            v for v in recordings(Path(folder)) if v.samples.size and v.samples.std() > SPOKEN
        ]
    for name in BANDS_HZ:
        rows = [judged(name, voice, dish) for voice in voices]
        each = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        seen = each["seen"][each["long"] > 0]
        table.add_row(
            name,
            f"{each['silent'].sum():.0f} of {len(rows)}",
            f"{each['correlation'].min():.3f} / {each['correlation'].mean():.3f}",
            f"{each['raw'].min():.3f} / {each['raw'].mean():.3f}",
            f"{each['in band'].min():.4f}",
            f"{each['step'].max():.2f}",
            f"{20 * np.log10(each['peak'].max()):.1f} dBFS",
            f"{(seen <= 1.5).sum()} of {seen.size}",
            f"{np.median(seen):.2f} s",
            f"{each['highest'].max():.2f} mm",
        )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
