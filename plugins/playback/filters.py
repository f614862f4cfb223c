"""The DC block and the notches of all channels, block by block.

A pole p is the recursion s[n] = p s[n-1] + x[n], in a block p^n times the running sum of x[n] p^-n,
so numpy does all channels at once. Rejected: `scipy.signal`, which takes 84 MB and has one filter
for all channels.
"""

import cmath
from collections.abc import Sequence
from math import cos, inf, pi, tan
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.playback.dishes import Channel, Notch, factor

DC_BLOCK_HZ = 3.0
"""-3 dB there, -0.2 dB at 15 Hz, where the first wave of V3 begins."""
_NOTHING = Notch(24, 0, 6)
_LEAST = 1e-15
"""Of a filter that rings down: numbers near the least of a float take many times as long."""

Block = npt.NDArray[np.float64]
"""[shape=(n_channels, n_frames)]"""


def notch_section(notch: Notch | None, rate: int) -> tuple[complex, complex, float]:
    """Return the filter of a notch, of the DC block without one, by the bilinear transform.

    Its parts are pole, scale and direct: y[n] = direct x[n] + Re(scale s[n]).
    """
    hz, db, width = (notch.hz, notch.db, notch.width) if notch else (0.0, inf, DC_BLOCK_HZ)
    depth, alpha, c = factor(-db), tan(pi * width / rate), cos(2 * pi * hz / rate)
    b0, b1, b2 = (one / (1 + alpha) for one in (1 + depth * alpha, -2 * c, 1 - depth * alpha))
    root = cmath.sqrt(c**2 + alpha**2 - 1)
    pole, other = (c - root) / (1 + alpha), (c + root) / (1 + alpha)
    direct = b2 * (1 + alpha) / (1 - alpha)
    residue = b0 - direct + (b1 - direct * b1) / pole
    scale = residue / (1 - other / pole)
    return pole, 2 * scale if notch else scale, direct  # the DC block's other pole has a zero on it


class Filters:
    """Filters blocks of `n_frames` samples of every channel at `rate` Hertz, in place."""

    def __init__(self, channels: Sequence[Channel], rate: int, n_frames: int) -> None:
        self._stages = [_Stage([notch_section(None, rate)] * len(channels), n_frames)]
        for number in range(max(len(one.notch) for one in channels)):
            notches = [[*one.notch, *[_NOTHING] * 99][number] for one in channels]
            self._stages.append(_Stage([notch_section(one, rate) for one in notches], n_frames))

    def run(self, x: Block) -> None:
        """Filter the next block."""
        for stage in self._stages:
            stage.run(x)

    def reset(self) -> None:
        """Forget what was before."""
        for stage in self._stages:
            stage.last.fill(0)


class _Stage:
    """One filter of each channel."""

    def __init__(self, sections: list[tuple[complex, complex, float]], n_frames: int) -> None:
        self._poles, scales, self._direct = (
            np.array(one)[:, None] for one in zip(*sections, strict=True)
        )
        self._powers: Any = self._poles ** np.arange(n_frames)
        self._up, self._down = 1 / self._powers, scales * self._powers
        self._sums, self.last = np.empty_like(self._powers), np.zeros_like(self._poles)

    def run(self, x: Block) -> None:
        sums = np.multiply(x, self._up, out=self._sums)
        sums[:, :1] += self._poles * self.last
        np.cumsum(sums, axis=1, out=sums)
        np.multiply(sums[:, -1:], self._powers[:, -1:], out=self.last)
        self.last[np.abs(self.last) < _LEAST] = 0
        sums *= self._down
        x *= self._direct
        x += sums.real
