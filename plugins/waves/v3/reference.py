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

import librosa
import numpy as np
import numpy.typing as npt

from plugins.waves.errors import PitchError

SR = 8000
HOP_LENGTH = 128
N_FFT = 512
FRAME_LENGTH = 512
HARMONICS = (1, 2, 3)
FMIN_HZ, FMAX_HZ = 65.40639132514966, 2093.004522404789  # C2 and C7, A4 = 440 Hz
OUT_LOW_HZ, OUT_SPAN_HZ = 15.0, 65.0
AMPLITUDE_SCALE = 2 / N_FFT * 3
GAIN_EPSILON, GAIN_MAX = 1e-8, 10.0

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

    # 4. Amplitudes of the harmonics
    amplitudes = [
        to_samples(a, len(y)) * AMPLITUDE_SCALE for a in harmonic_amplitudes(y, f0, voiced_flag)
    ]

    # 5. Cosines: the phase is the running sum of the frequency
    raw = np.stack(
        [
            a * np.cos(np.cumsum(2 * np.pi * h * g / SR))
            for h, a in zip(HARMONICS, amplitudes, strict=True)
        ]
    )

    # 6. Gain: the loudness of the voice over the loudness of the sum
    gain_frames = rms(y) / (rms(raw.sum(axis=0)) + GAIN_EPSILON)
    waves = raw * np.clip(to_samples(gain_frames, len(y)), 0, GAIN_MAX)

    # 7. How far the sum is from the voice
    mix = waves.sum(axis=0)
    rmse = float(np.sqrt(np.mean((y - mix) ** 2)))
    return waves, rmse, float(np.mean(voiced_flag))


def track_pitch(y: Float32) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return f0 [shape=(n_frames,)] in Hertz by pYIN, 0 where unvoiced, and the voiced flag."""
    if len(y) == 0:
        raise PitchError("there are 0 samples: need at least 1")
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


def map_frequency(f0_samples: Float64, voiced_f0: Float64) -> Float64:
    """Map the range of the voiced frames to 15..80 Hz; 0 stays 0."""
    if len(voiced_f0) == 0:
        return np.zeros_like(f0_samples)
    low, high = float(voiced_f0.min()), float(voiced_f0.max())
    if high == low:
        high = low + 1
    mapped = OUT_LOW_HZ + (f0_samples - low) / (high - low) * OUT_SPAN_HZ
    return np.where(f0_samples > 0, mapped, 0.0)


def harmonic_amplitudes(
    y: Float32, f0: Float64, voiced_flag: npt.NDArray[np.bool_]
) -> Sequence[Float64]:
    """Return the magnitude of the spectrum at f0, 2 f0 and 3 f0 in every frame; 0 where unvoiced.

    The transform is unscaled: a cosine of amplitude 1 reads N_FFT / 4.
    """
    n = np.arange(N_FFT)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / N_FFT)  # periodic Hann
    amplitudes = [np.zeros(len(f0)) for _ in HARMONICS]
    voiced = np.flatnonzero(voiced_flag)
    if len(voiced) == 0:
        return amplitudes
    S = np.abs(np.fft.rfft(frame(y, N_FFT)[voiced] * window, axis=1))
    for h, a in zip(HARMONICS, amplitudes, strict=True):
        bins = np.clip(np.rint(h * f0[voiced] * N_FFT / SR).astype(int), 0, N_FFT // 2)
        a[voiced] = S[np.arange(len(voiced)), bins]
    return amplitudes


def rms(y: Float32 | Float64) -> Float64:
    """Return the root mean square of every centred frame of `y`."""
    power: Float64 = np.mean(frame(y.astype(np.float64) ** 2, FRAME_LENGTH), axis=1)
    return np.sqrt(power)


def frame(y: Float32 | Float64, frame_length: int) -> Float64:
    """Return the centred frames of `y` as rows, as float64."""
    padded = np.pad(y.astype(np.float64), frame_length // 2)
    return np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::HOP_LENGTH]
