"""Estimates the pitch range of a voice, by the autocorrelation of short frames.

`librosa.yin` was rejected: it does not tell voiced frames from noise, and its import takes 6 s of
CPU time, or 27 s before its compiled code is cached, where this takes 10 ms.
"""

from typing import Final

import numpy as np

from backend.speech.sound.loudness import ACTIVE_RANGE_DB, Samples

FMIN: Final = 60.0
FMAX: Final = 500.0
_FRAME_S = 0.05
_HOP_S = 0.02
_VOICED_CORRELATION = 0.5
_OCTAVE_BIAS = 0.9
"""The shortest lag whose peak comes this close to the highest wins, not twice its length."""
_RANGE_PERCENTILES = (10, 90)


def pitch_range(y: Samples, sample_rate: int) -> tuple[float, float] | None:
    """Return the pitch in Hertz below and above which a tenth of the voiced frames lie each.

    None if no frame is voiced.
    """
    length, hop = round(_FRAME_S * sample_rate), round(_HOP_S * sample_rate)
    if len(y) < length:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(y, length)[::hop].astype(np.float64)
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.square(frames).mean(axis=1)
    frames = frames[power >= power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)]
    shortest, longest = int(sample_rate / FMAX), int(sample_rate / FMIN)
    spectrum = np.abs(np.fft.rfft(frames, 2 * length, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)[:, : longest + 1]
    overlap = 1 - np.arange(longest + 1) / length  # fewer products at longer lags
    correlation = correlation / np.maximum(correlation[:, :1], 1e-12) / overlap
    candidates = correlation[:, shortest:]
    highest = candidates.max(axis=1)
    peaks = np.zeros_like(candidates, dtype=bool)
    peaks[:, 1:-1] = (candidates[:, 1:-1] >= candidates[:, :-2]) & (
        candidates[:, 1:-1] >= candidates[:, 2:]
    )
    peaks &= candidates >= _OCTAVE_BIAS * highest[:, None]
    voiced = (highest > _VOICED_CORRELATION) & peaks.any(axis=1)
    if not voiced.any():
        return None
    f0 = sample_rate / (shortest + peaks[voiced].argmax(axis=1))
    low, high = np.percentile(f0, _RANGE_PERCENTILES)
    return float(low), float(high)
