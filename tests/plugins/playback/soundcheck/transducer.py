"""A simulated transducer: a mass on a spring under a dish, and what a sensor records of it."""

import numpy as np
import numpy.typing as npt
from scipy import signal

from plugins.playback.tones import sweep

Array = npt.NDArray[np.float64]

SENSORS = ("acceleration", "displacement", "velocity", "resonance")
"""What is measured; `resonance` is a flat response with one resonance on top."""


def answer(x: Array, sr: int, hertz: float, q: float, sensor: str) -> Array:
    """Return what a sensor on the transducer measures while it plays `x`."""
    w = 2 * sr * np.tan(np.pi * hertz / sr)
    above = {
        "acceleration": [1, 0, 0],
        "displacement": [0, 0, w * w],
        "velocity": [0, w, 0],
        "resonance": [1, w, w * w],
    }
    b, a = signal.bilinear(above[sensor], [1, w / q, w * w], sr)
    return np.asarray(signal.lfilter(b, a, x))


def recorded(
    hertz: float,
    q: float,
    *,
    sensor: str = "resonance",
    sr: int = 2000,
    noise_db: float = -60,
    latency_s: float = 0.37,
    peak: float = 0.5,
    seed: int = 1,
) -> Array:
    """Return the recording of a sweep at `peak` of full scale, with noise and latency."""
    before, after = np.zeros(round(latency_s * sr)), np.zeros(2 * sr)
    x = np.concatenate((before, sweep(sr).astype(np.float64), after))
    y = answer(x, sr, hertz, q, sensor)
    noise = np.random.default_rng(seed).normal(0, 10 ** (noise_db / 20), len(y))
    return np.asarray(peak * y / np.max(np.abs(y)) + noise)
