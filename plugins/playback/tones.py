"""Test signals of a sound check, mono, with full scale at +-1 and soft ends."""

import numpy as np
import numpy.typing as npt

from plugins.playback.kinds import Signal

Tone = npt.NDArray[np.float32]

LOWEST_HZ, HIGHEST_HZ, SWEEP_S = 8.0, 160.0, 20.0
"""The band that the sweep covers at its full level, and its length."""
_FROM_HZ, _TO_HZ = 7.0, 183.0
"""Where the sweep begins and ends: its fades lie outside of the band."""
FADE_S = 0.06
"""At least this long: a shorter one throws the water."""


def sweep(sr: int) -> Tone:
    """Return an exponential sweep that has its full level from 8 to 160 Hz."""
    octaves_s = SWEEP_S / np.log(_TO_HZ / _FROM_HZ)
    times = np.arange(round(SWEEP_S * sr)) / sr
    tone = np.sin(2 * np.pi * _FROM_HZ * octaves_s * np.expm1(times / octaves_s))
    rise_s, fall_s = octaves_s * np.log((LOWEST_HZ / _FROM_HZ, _TO_HZ / HIGHEST_HZ))
    return _faded(tone, round(rise_s * sr), round(fall_s * sr))


def buzz(sr: int) -> Tone:
    """Return 5 s of 30 Hz."""
    fade = round(FADE_S * sr)
    return _faded(np.sin(2 * np.pi * 30 * np.arange(5 * sr) / sr), fade, fade)


def _faded(tone: npt.NDArray[np.float64], rise: int, fall: int) -> Tone:
    """Return a tone with raised-cosine ends of so many samples."""
    tone[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    tone[-fall:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fall + 1) / fall)
    return tone.astype(np.float32)


TONES = {Signal.BUZZ: buzz, Signal.SWEEP: sweep}
"""Each signal that is no speech, at a rate in Hertz."""
