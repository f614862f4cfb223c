"""What every profile gets of an utterance: its samples, its pitch, its loudness."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from plugins.waves.v3 import HOP_LENGTH, PROCESSING_SR, synthesis

N_FFT = 512
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Voice:
    """Speech of 8000 Hz, and where it is heard."""

    samples: npt.NDArray[np.float32]
    """[shape=(n,)] Mono, full scale +-1, finite, at least one sample."""
    slot_id: int = 1
    """The dish whose agent speaks; 0: all of them, as in a summary."""
    track: Callable[[npt.NDArray[np.float32]], synthesis.Pitch] = synthesis.track_pitch

    @cached_property
    def pitch(self) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return f0 in Hertz, 0 where unvoiced, and the voiced flag, for each frame of 16 ms."""
        return self.track(self.samples)

    @cached_property
    def loudness(self) -> Array:
        """Return the root mean square of each frame of 64 ms, all 16 ms."""
        return rms(self.samples)


def rms(samples: npt.NDArray[np.floating]) -> Array:
    """Return the root mean square of frames of `N_FFT` samples centred at each hop."""
    squares = np.pad(samples.astype(np.float64) ** 2, N_FFT // 2)
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    starts = np.arange(1 + samples.size // HOP_LENGTH) * HOP_LENGTH
    power: Array = np.maximum(sums[starts + N_FFT] - sums[starts], 0) / N_FFT
    return np.sqrt(power)


def to_samples(frames: Array, n: int) -> Array:
    """Interpolate one value for each frame to `n` samples; the last value is held."""
    times = np.arange(n) / PROCESSING_SR
    return np.interp(times, np.arange(frames.size) * HOP_LENGTH / PROCESSING_SR, frames)
