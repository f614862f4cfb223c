"""V3 spelled out with NumPy, and pYIN by librosa: slow, plain, what the exact engine must equal.

Conventions
-----------
- Signals are mono, full scale +-1; `y` is float32, everything derived from it float64.
- A frame is centred: frame m stands at sample m * HOP_LENGTH, the signal is padded with zeros.
  There are 1 + len(y) // HOP_LENGTH frames.
- f0 is 0 in unvoiced frames and interpolated to samples with those zeros in, so the frequency
  glides below 15 Hz where voice begins and ends. That is V3.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.waves.errors import PitchError
from plugins.waves.v3.likeness import likeness

SR = 8000
HOP_LENGTH = 128
N_FFT = 512
FRAME_LENGTH = 512
HARMONICS = (1, 2, 3)
FMIN_HZ, FMAX_HZ = 65.40639132514966, 2093.004522404789  # C2 and C7, A4 = 440 Hz
BAND_HZ = (15.0, 80.0)
AMPLITUDE_SCALE = 2 / N_FFT * 3
GAIN_EPSILON, GAIN_MAX = 1e-8, 10.0
BLOCK_FRAMES = 2048
"""Frames whose spectrum is in memory at a time."""

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def decompose(y: Float32) -> tuple[Float64, float, float]:
    """Decompose a voice of `SR` into three waves.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)], float32
        Mono speech, full scale +-1, finite, at least one sample.

    Returns
    -------
    waves : np.ndarray [shape=(3, n)], float64
        Before clipping.
    rmse : float
        Root of the mean squared difference of `y` and the sum of the waves.
    voiced_ratio : float
        Voiced frames over all frames, 0 to 1.
    """
    # 1. Pitch per frame, 0 where unvoiced
    f0, voiced_flag = track_pitch(y)

    # 2. Pitch per sample
    f0_samples = to_samples(f0, len(y))

    # 3. Frequency map to 15..80 Hz
    g = map_frequency(f0_samples, f0[voiced_flag])

    # 4 to 6. Amplitudes, cosines, gain
    waves = synthesise(y, f0, voiced_flag, [h * g for h in HARMONICS])

    # 7. How far the sum is from the voice
    mix = waves.sum(axis=0)
    rmse = float(np.sqrt(np.mean((y - mix) ** 2)))
    return waves, rmse, float(np.mean(voiced_flag))


def synthesise(
    y: Float32, f0: Float64, voiced_flag: npt.NDArray[np.bool_], frequencies: Sequence[Float64]
) -> Float64:
    """Return a wave for each frequency [shape=(n,)]: wave i has the amplitude of harmonic i."""
    # 4. Amplitudes of the harmonics
    amplitudes = harmonic_amplitudes(y, f0, voiced_flag, len(frequencies)) * AMPLITUDE_SCALE

    # 5. Cosines: the phase is the running sum of the frequency
    waves = np.empty((len(frequencies), len(y)))
    for wave, amplitude, frequency in zip(waves, amplitudes, frequencies, strict=True):
        wave[:] = to_samples(amplitude, len(y)) * np.cos(np.cumsum(2 * np.pi * frequency / SR))

    # 6. Gain: the loudness of the voice over the loudness of the sum
    gain_frames = rms(y) / (rms(waves.sum(axis=0)) + GAIN_EPSILON)
    waves *= np.clip(to_samples(gain_frames, len(y)), 0, GAIN_MAX)
    return waves


def figures(y: Float32, mix: Float64) -> dict[str, float]:
    """Step 7: return how near the sum of some waves is to the voice."""
    error = float(((y - mix) ** 2).sum())
    power = float((y.astype(np.float64) ** 2).sum())
    return likeness(y, power, error, rms(y), rms(mix))


def track_pitch(y: Float32) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return f0 [shape=(n_frames,)] in Hertz by pYIN, 0 where unvoiced, and the voiced flag."""
    if len(y) == 0:
        raise PitchError("there are 0 samples: need at least 1")
    import librosa  # a second and 200 MB

    # librosa 1.0 leaves unlikely moves out of its search unless it is told not to
    full_search: dict[str, Any] = {}
    if "transition_min_prob" in inspect.signature(librosa.pyin).parameters:
        full_search["transition_min_prob"] = None
    f0, voiced_flag, _ = librosa.pyin(
        y,
        fmin=FMIN_HZ,
        fmax=FMAX_HZ,
        sr=SR,
        hop_length=HOP_LENGTH,
        fill_na=0.0,
        **full_search,
    )
    return f0, voiced_flag


def to_samples(values: Float64, n: int) -> Float64:
    """Interpolate one value per frame linearly to `n` samples; the last value is held."""
    return np.interp(np.arange(n) / SR, np.arange(len(values)) * HOP_LENGTH / SR, values)


def map_frequency(
    f0_samples: Float64, voiced_f0: Float64, band_hz: tuple[float, float] = BAND_HZ
) -> Float64:
    """Map the range of the voiced frames to `band_hz`; 0 stays 0."""
    if len(voiced_f0) == 0:
        return np.zeros_like(f0_samples)
    low, high = float(voiced_f0.min()), float(voiced_f0.max())
    if high == low:
        high = low + 1
    mapped = band_hz[0] + (f0_samples - low) / (high - low) * (band_hz[1] - band_hz[0])
    return np.where(f0_samples > 0, mapped, 0.0)


def harmonic_amplitudes(
    y: Float32, f0: Float64, voiced_flag: npt.NDArray[np.bool_], count: int = len(HARMONICS)
) -> Float64:
    """Return the magnitude of the spectrum at multiples of f0 in every frame; 0 where unvoiced.

    The transform is unscaled: a cosine of amplitude 1 reads N_FFT / 4.
    """
    n = np.arange(N_FFT)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / N_FFT)  # periodic Hann
    amplitudes = np.zeros((count, len(f0)))
    frames, multiples = frame(y, N_FFT), np.arange(1, count + 1)[:, np.newaxis]
    for first in range(0, len(f0), BLOCK_FRAMES):
        voiced = first + np.flatnonzero(voiced_flag[first : first + BLOCK_FRAMES])
        S = np.abs(np.fft.rfft(frames[voiced] * window, axis=1))
        bins = np.clip(np.rint(multiples * f0[voiced] * N_FFT / SR).astype(int), 0, N_FFT // 2)
        amplitudes[:, voiced] = S[np.arange(len(voiced)), bins]
    return amplitudes


def rms(y: Float32 | Float64) -> Float64:
    """Return the root mean square of every centred frame of `y`."""
    power: Float64 = np.mean(frame(y.astype(np.float64) ** 2, FRAME_LENGTH), axis=1)
    return np.sqrt(power)


def frame(y: Float32 | Float64, frame_length: int) -> Float64:
    """Return the centred frames of `y` as rows, as float64."""
    padded = np.pad(y.astype(np.float64), frame_length // 2)
    return np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::HOP_LENGTH]
