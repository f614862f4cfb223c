"""What every profile gets of an utterance: its samples, its pitch, its loudness."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from plugins.waves.v3 import reference, synthesis

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
        return reference.rms(self.samples)
