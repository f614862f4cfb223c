"""What pYIN derives from its parameters alone, and which parameters it takes."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from plugins.waves.errors import PitchError
from plugins.waves.pyin.kernels import difference
from plugins.waves.pyin.priors import BETA_PROBS, trough_weights
from plugins.waves.pyin.viterbi import Transitions, build_transitions

FloatArray = npt.NDArray[np.float64]

MAX_TRANSITION_RATE = 35.92
"""Greatest change of pitch in octaves per second."""
SWITCH_PROB = 0.01
"""Probability of a switch between voiced and unvoiced from one frame to the next."""
NO_TROUGH_PROB = 0.01
"""Weight of the lowest trough under thresholds below it."""


@dataclass(frozen=True)
class Model:
    """All that depends on the parameters alone."""

    frame_length: int
    hop_length: int
    min_period: int
    max_period: int
    thresholds: FloatArray
    beta_tail: FloatArray
    beta_sums: FloatArray
    weights: FloatArray
    pitch: FloatArray
    freqs: FloatArray
    transitions: Transitions

    @property
    def shares_blocks(self) -> bool:
        """Whether frames can share the autocorrelations of their blocks."""
        lags = -(-(self.max_period + 1) // difference.LAG_MULTIPLE) * difference.LAG_MULTIPLE
        return (
            self.frame_length % self.hop_length == 0
            and self.hop_length % difference.BLOCK_MULTIPLE == 0
            and lags <= self.hop_length
        )


@lru_cache(maxsize=8)
def build_model(
    fmin: float, fmax: float, sr: float, frame_length: int, hop_length: int, resolution: float
) -> Model:
    """Compute the priors and transitions, once for each set of parameters.

    Raises
    ------
    PitchError
        If a parameter is outside the range in which pYIN is defined.
    """
    if not 0 < fmin < fmax <= sr / 2:
        raise PitchError(
            f"fmin={fmin!r}, fmax={fmax!r}: need 0 < fmin < fmax <= sr / 2 = {sr / 2} Hz"
        )
    if hop_length < 1:
        raise PitchError(f"hop_length={hop_length!r}: need at least 1 sample")
    if sr / fmin >= frame_length - 1:
        raise PitchError(
            f"fmin={fmin!r} Hz does not fit into frame_length={frame_length}: raise fmin to "
            f"{sr / (frame_length - 1):.3f} Hz or frame_length to {math.ceil(sr / fmin) + 2}"
        )
    if not 0 < resolution < 1:
        raise PitchError(f"resolution={resolution!r}: need a value between 0 and 1 semitone")
    min_period = math.floor(sr / fmax)
    max_period = min(math.ceil(sr / fmin), frame_length - 1)
    bins_per_semitone = math.ceil(1.0 / resolution)
    n_bins = int(np.floor(12 * bins_per_semitone * np.log2(fmax / fmin))) + 1
    width = round(MAX_TRANSITION_RATE * 12 * hop_length / sr) * bins_per_semitone + 1
    if width > n_bins or n_bins < 2:
        raise PitchError(
            f"hop_length={hop_length!r} spans {width} of {n_bins} pitch bins between frames: use a "
            "shorter hop or a wider fmin to fmax"
        )
    if max_period - min_period < 2:
        raise PitchError(f"fmin={fmin!r} to fmax={fmax!r} Hz spans fewer than 3 lags: widen it")
    n_thresholds = BETA_PROBS.size
    thresholds = np.linspace(0, 1, n_thresholds + 1)
    return Model(
        frame_length=frame_length,
        hop_length=hop_length,
        min_period=min_period,
        max_period=max_period,
        thresholds=thresholds,
        beta_tail=np.append(np.cumsum(BETA_PROBS[::-1])[::-1], 0.0),
        beta_sums=np.array([np.sum(BETA_PROBS[:n]) for n in range(n_thresholds + 1)]),
        weights=trough_weights((max_period - min_period + 1) // 2 + 1),
        pitch=np.array(
            [
                min_period,
                sr,
                fmin,
                12 * bins_per_semitone,
                n_bins,
                thresholds[np.flatnonzero(BETA_PROBS)[-1] + 1],
            ]
        ),
        freqs=fmin * 2 ** (np.arange(n_bins) / (12 * bins_per_semitone)),
        transitions=build_transitions(n_bins, width, SWITCH_PROB),
    )
