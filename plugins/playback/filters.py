"""The DC block and the notches of all channels, block by block, in memory that is there before.

A pole p of a filter is the recursion s[n] = p s[n-1] + x[n], in a block p^n times the running sum
of x[n] p^-n, so numpy does all channels at once. Rejected: `scipy.signal`, which takes 84 MB and
has one filter for all channels.
"""

from collections.abc import Sequence
from math import cos, pi, sqrt, tan
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from plugins.playback.dishes import Channel, Notch, factor

DC_BLOCK_HZ = 3.0
"""-3 dB there, -0.2 dB at 15 Hz, where the first wave of V3 begins."""

Block = npt.NDArray[np.float64]
"""[shape=(n_channels, n_frames)]"""


class Section(NamedTuple):
    """A filter y[n] = direct x[n] + Re(scale s[n]), s[n] = pole s[n-1] + x[n]."""

    pole: complex
    scale: complex
    direct: float


def notch_section(notch: Notch | None, rate: int) -> Section:
    """Return the filter of a notch by the bilinear transform; without one it changes nothing."""
    if notch is None:
        return Section(0.99, 0, 1)
    depth, alpha, c = factor(-notch.db), tan(pi * notch.width / rate), cos(2 * pi * notch.hz / rate)
    b0, b1, b2 = (one / (1 + alpha) for one in (1 + depth * alpha, -2 * c, 1 - depth * alpha))
    a1, a2 = b1, (1 - alpha) / (1 + alpha)
    pole = complex(c, sqrt(1 - alpha**2 - c**2)) / (1 + alpha)
    direct = b2 / a2
    residue = (b0 - direct + (b1 - direct * a1) / pole) / (1 - pole.conjugate() / pole)
    return Section(pole, 2 * residue, direct)


def _dc_block(rate: int) -> Section:
    pole = (1 - tan(pi * DC_BLOCK_HZ / rate)) / (1 + tan(pi * DC_BLOCK_HZ / rate))
    gain = (1 + pole) / 2
    return Section(pole, gain * (1 - 1 / pole), gain / pole)


class Filters:
    """Filters blocks of `n_frames` samples of every channel at `rate` Hertz, in place."""

    def __init__(self, channels: Sequence[Channel], rate: int, n_frames: int) -> None:
        stages = [[_dc_block(rate)] * len(channels)]
        for number in range(max(len(one.notch) for one in channels)):
            notches = [one.notch[number] if number < len(one.notch) else None for one in channels]
            stages.append([notch_section(one, rate) for one in notches])
        self._stages = [_Stage(sections, n_frames) for sections in stages]

    def run(self, x: Block) -> None:
        """Filter the next block."""
        for stage in self._stages:
            stage.run(x)

    def reset(self) -> None:
        """Forget what was before."""
        for stage in self._stages:
            stage.last.fill(0)


class _Stage:
    """One section of each channel."""

    def __init__(self, sections: Sequence[Section], n_frames: int) -> None:
        self._poles: Any = np.array([one.pole for one in sections])
        powers = self._poles[:, None] ** np.arange(n_frames)
        self._up = 1 / powers
        self._down = np.array([one.scale for one in sections])[:, None] * powers
        self._direct = np.array([[one.direct] for one in sections])
        self._at_end = powers[:, -1].copy()
        self._sums = np.empty_like(powers)
        self.last = np.zeros_like(self._poles)

    def run(self, x: Block) -> None:
        sums = self._sums
        np.multiply(x, self._up, out=sums)
        self.last *= self._poles
        sums[:, 0] += self.last
        np.cumsum(sums, axis=1, out=sums)
        np.multiply(sums[:, -1], self._at_end, out=self.last)
        np.multiply(sums, self._down, out=sums)
        x *= self._direct
        x += sums.real
