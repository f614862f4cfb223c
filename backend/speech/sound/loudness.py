"""Brings every voice to one loudness, so that the water reacts alike to all of them.

The level of speech is the RMS of its active part, without pauses. Peaks above `CEILING_DBFS` are
turned down for some milliseconds by a limiter that looks ahead; clipping them would be heard. A
compressor was rejected: it would remove the dynamics that make the waves differ.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import SpeechError

Samples = NDArray[np.float32]
"""Mono speech, full scale +-1."""

TARGET_DBFS: Final = -18.0
CEILING_DBFS: Final = -1.2
"""Highest peak: below -1 dBFS, so that what resamples the file later has room."""
SILENCE_DBFS: Final = -60.0
"""Below this the active part is a noise floor, not speech."""

FRAME_S: Final = 0.02
ACTIVE_RANGE_DB: Final = 30.0
"""Frames this far below the loudest one are pauses."""

_LIMITER_BLOCK_S = 0.001
_LOOK_AHEAD_BLOCKS = 8
_TOLERANCE_DB = 0.05
_MAX_PASSES = 8
"""Limiting lowers the level a little, so it is aimed at again; three passes are usual."""


def active_level(y: Samples, sample_rate: int) -> float:
    """Return the RMS of the active part of `y` in dBFS; -inf for digital silence."""
    power = _frame_powers(y, sample_rate)
    loudest = power.max(initial=0.0)
    if loudest == 0:
        return -np.inf
    active = power[power >= loudest * 10 ** (-ACTIVE_RANGE_DB / 10)]
    return float(10 * np.log10(active.mean()))


def peak_level(y: Samples) -> float:
    """Return the highest sample of `y` in dBFS; -inf for digital silence."""
    peak = float(np.abs(y).max(initial=0.0))
    return 20 * float(np.log10(peak)) if peak > 0 else -np.inf


def level(y: Samples, sample_rate: int) -> Samples:
    """Return `y` at `TARGET_DBFS`, no peak above `CEILING_DBFS`; raise SpeechError if silent."""
    before = active_level(y, sample_rate)
    if before < SILENCE_DBFS:
        raise SpeechError(
            f"the voice made no sound of the text (active level {before:.0f} dBFS): "
            "use plain words, or another voice"
        )
    gain_db = TARGET_DBFS - before
    for _ in range(_MAX_PASSES):
        levelled = _limit(y * np.float32(10 ** (gain_db / 20)), sample_rate)
        missing_db = TARGET_DBFS - active_level(levelled, sample_rate)
        if abs(missing_db) < _TOLERANCE_DB:
            break
        gain_db += missing_db
    return levelled


def _frame_powers(y: Samples, sample_rate: int) -> NDArray[np.float64]:
    length = max(1, round(FRAME_S * sample_rate))
    if len(y) < length:
        return np.array([np.square(y, dtype=np.float64).mean()] if len(y) else [])
    frames = y[: len(y) // length * length].reshape(-1, length)
    powers: NDArray[np.float64] = np.square(frames, dtype=np.float64).mean(axis=1)
    return powers


def _limit(y: Samples, sample_rate: int) -> Samples:
    """Return `y` with its peaks at the ceiling at most, the gain moving smoothly.

    Each block's gain is the least that any block near it needs, averaged over fewer blocks than
    that minimum was taken over: so the average, and the line drawn between two of them, never
    rises above what a peak needs.
    """
    ceiling = np.float32(10 ** (CEILING_DBFS / 20))
    if np.abs(y).max(initial=0.0) <= ceiling:
        return y
    size = max(1, round(_LIMITER_BLOCK_S * sample_rate))
    n_blocks = -(-len(y) // size)
    padded = np.zeros(n_blocks * size, dtype=np.float32)
    padded[: len(y)] = np.abs(y)
    peaks = padded.reshape(n_blocks, size).max(axis=1)
    needed = np.minimum(1, ceiling / np.maximum(peaks, ceiling))

    reach = _LOOK_AHEAD_BLOCKS
    edged = np.pad(needed, reach, constant_values=1)
    least = np.lib.stride_tricks.sliding_window_view(edged, 2 * reach + 1).min(axis=1)
    window = np.hanning(2 * reach + 1)[1:-1]  # one block shorter on each side than the minimum
    smooth = np.convolve(np.pad(least, reach - 1, mode="edge"), window / window.sum(), "valid")

    centres = (np.arange(n_blocks) + 0.5) * size
    gain = np.interp(np.arange(len(y)) + 0.5, centres, smooth)
    limited: Samples = (y * gain).astype(np.float32)
    return limited
