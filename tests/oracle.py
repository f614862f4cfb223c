"""The V3 oracle: section by section what the design says, with librosa's own functions.

Nothing here is shared with `plugins.waves`: a mistake made there cannot be made here by import.
librosa loads and compiles its parts at their first use, for seconds: ordinary tests use the answers
that `tests/stored.py` keeps.
"""

import inspect
import math
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

Float64 = npt.NDArray[np.float64]


@cache
def full_search() -> dict[str, Any]:
    """Return what makes librosa 1.0 search all moves, as 0.11 always does."""
    known = inspect.signature(librosa.pyin).parameters
    return {"transition_min_prob": None} if "transition_min_prob" in known else {}


@dataclass(frozen=True)
class Expected:
    """What V3 gives for one recording."""

    y: npt.NDArray[np.float32]
    f0: Float64
    waves: Float64
    pcm: npt.NDArray[np.int16]
    rmse: float


def expect(wav: Path, scratch: Path) -> Expected:
    """Return what V3 makes of a WAV file; `scratch` is a file that is overwritten."""
    y, _ = load(wav)
    return expect_signal(y, scratch)


def load(wav: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Read a file as librosa.load(sr=8000, res_type="soxr_hq") does."""
    samples, rate = sf.read(wav, dtype="float32", always_2d=True)
    return resample(to_mono(samples), rate), 8000


def to_mono(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what librosa.to_mono makes of the frames of a file."""
    mono: npt.NDArray[np.float32] = np.mean(samples.T, axis=0)
    return mono


def resample(y: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    """Return what librosa.resample makes of `y` at 8000 Hz."""
    if rate == 8000:
        return y
    resampled = soxr.resample(y, rate, 8000, quality="HQ")
    n = math.ceil(len(y) * (8000 / rate))
    return np.pad(resampled[:n], (0, max(0, n - len(resampled))))


def decompose_file(wav: Path, folder: Path) -> None:
    """Write the three files of a WAV file into `folder`, as V3 did it from the start."""
    y, _ = load(wav)
    _, waves, _ = decompose(y)
    for number, wave in enumerate(waves, start=1):
        sf.write(folder / f"{wav.stem}_v3_wave{number}.wav", wave, 8000, subtype="PCM_16")


def expect_signal(y: npt.NDArray[np.float32], scratch: Path) -> Expected:
    """Return what V3 makes of 8000 Hz mono speech."""
    f0, waves, rmse = decompose(y)
    pcm = np.array([written(wave, scratch) for wave in waves])
    return Expected(y, f0, waves, pcm, rmse)


def decompose(y: npt.NDArray[np.float32]) -> tuple[Float64, Float64, float]:
    """Return f0 with 0 where unvoiced, the three waves, and the rmse."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=512 is too large")
        return _decompose(y)


def _decompose(y: npt.NDArray[np.float32]) -> tuple[Float64, Float64, float]:
    sr, hop = 8000, 128
    f0, voiced, _ = librosa.pyin(
        y,
        fmin=float(librosa.note_to_hz("C2")),
        fmax=float(librosa.note_to_hz("C7")),
        sr=sr,
        hop_length=hop,
        **full_search(),
    )
    f0 = np.where(voiced, f0, 0.0)
    t = np.arange(len(y)) / sr
    times = librosa.frames_to_time(np.arange(len(f0)), sr=sr, hop_length=hop)

    f0_t = np.interp(t, times, f0)
    if voiced.any():
        lo, hi = f0[voiced].min(), f0[voiced].max()
        hi = lo + 1 if hi == lo else hi
        g = np.where(f0_t > 0, 15 + (f0_t - lo) / (hi - lo) * 65, 0.0)
    else:
        g = np.zeros(len(y))

    magnitude = np.abs(librosa.stft(y, n_fft=512, hop_length=hop))
    raws = []
    for h in (1, 2, 3):
        k = np.clip(np.round(h * f0 * 512 / sr), 0, 256).astype(int)
        a = np.where(voiced, magnitude[k, np.arange(len(f0))], 0.0)
        envelope = np.interp(t, times, a) * (2 / 512) * 3
        raws.append(envelope * np.cos(np.cumsum(2 * np.pi * h * g / sr)))

    gain = np.clip(np.interp(t, times, _rms(y) / (_rms(np.sum(raws, axis=0)) + 1e-8)), 0, 10)
    waves = np.array([raw * gain for raw in raws])
    rmse = float(np.sqrt(np.mean((y - waves.sum(axis=0)) ** 2)))
    return f0, waves, rmse


def written(wave: npt.NDArray[Any], scratch: Path) -> npt.NDArray[np.int16]:
    """Return the integers that soundfile writes for a float signal."""
    sf.write(scratch, wave, 8000, format="WAV", subtype="PCM_16")
    pcm: npt.NDArray[np.int16] = sf.read(scratch, dtype="int16")[0]
    return pcm


def _rms(y: npt.NDArray[Any]) -> Float64:
    values: Float64 = librosa.feature.rms(y=y, frame_length=512, hop_length=128)[0]
    return values
