"""Profile `slots`: two waves, or six for a summary, each in the band of the dish that it plays in.

The steps are those of V3, with two differences: wave i follows harmonic i with a frequency of its
own, the voice's range of f0 mapped to the band of its dish, and there is one for each target dish.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from plugins.waves.profiles.registry import Profile
from plugins.waves.profiles.voice import N_FFT, Array, Voice, rms, to_samples
from plugins.waves.v3 import HOP_LENGTH, PROCESSING_SR

BANDS_HZ = {1: (80, 100), 2: (50, 70), 3: (20, 40), 4: (20, 40), 5: (50, 70), 6: (80, 100)}
SLOTS = tuple(BANDS_HZ)
AMPLITUDE_SCALE = 2 / N_FFT * 3
GAIN_FLOOR, GAIN_MAX = 1e-8, 10.0
BLOCK_FRAMES = 2048


def targets(slot_id: int) -> tuple[int, ...]:
    """Return the dishes of the waves: the speaker's and its neighbour, or all for a summary."""
    return (slot_id, slot_id % len(SLOTS) + 1) if slot_id else SLOTS


def make(voice: Voice, _: Mapping[str, Any]) -> Array:
    """Return the waves [shape=(number of targets, n)], before clipping."""
    n = voice.samples.size
    f0, voiced = voice.pitch
    pitch = to_samples(f0, n)
    dishes = targets(voice.slot_id)
    raw = np.empty((len(dishes), n))
    for row, (dish, frames) in enumerate(zip(dishes, _amplitudes(voice, len(dishes)), strict=True)):
        turns = 2 * np.pi / PROCESSING_SR * _frequency(pitch, f0[voiced], BANDS_HZ[dish])
        raw[row] = AMPLITUDE_SCALE * to_samples(frames, n) * np.cos(np.cumsum(turns))
    gain = voice.loudness / (rms(raw.sum(axis=0)) + GAIN_FLOOR)
    raw *= np.clip(to_samples(gain, n), 0, GAIN_MAX)
    return raw


def _frequency(pitch: Array, voiced_f0: Array, band_hz: tuple[float, float]) -> Array:
    if voiced_f0.size == 0:
        return np.zeros_like(pitch)
    low, high = voiced_f0.min(), voiced_f0.max()
    span = high - low if high > low else 1.0
    mapped = band_hz[0] + (pitch - low) / span * (band_hz[1] - band_hz[0])
    return np.where(pitch > 0, mapped, 0.0)


def _amplitudes(voice: Voice, count: int) -> Array:
    """Return the magnitude at harmonics 1 to `count` [shape=(count, n_frames)]; 0 if unvoiced."""
    f0, voiced = voice.pitch
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    padded = np.pad(voice.samples.astype(np.float64), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    found: Array = np.zeros((count, f0.size))
    harmonics = np.arange(1, count + 1)[:, np.newaxis]
    for first in range(0, f0.size, BLOCK_FRAMES):
        rows = first + np.flatnonzero(voiced[first : first + BLOCK_FRAMES])
        spectrum = np.abs(np.fft.rfft(frames[rows] * window, axis=1))
        bins = np.rint(harmonics * f0[rows] * N_FFT / PROCESSING_SR).astype(np.int64)
        found[:, rows] = spectrum[np.arange(rows.size), np.clip(bins, 0, N_FFT // 2)]
    return found


profile = Profile(make, targets)
