"""The cap of every channel: a limiter that looks one block ahead and cannot be switched off."""

from collections.abc import Sequence

import numpy as np

from plugins.playback.dishes import Channel
from plugins.playback.filters import Block

RELEASE_S = 0.5
"""From silence to full gain; longer than a period of the lowest wave."""


class Limiter:
    """Returns each block one block later, no sample above the cap of its channel.

    The gain is a line from one edge of a block to the other, and at both low enough for the block.
    """

    def __init__(self, channels: Sequence[Channel], rate: int, n_frames: int) -> None:
        self._caps = np.array([[one.cap] for one in channels])
        self._release = n_frames / (rate * RELEASE_S)
        self._steps = np.arange(1, n_frames + 1) / n_frames
        self._held, self._out = np.zeros((2, len(channels), n_frames))
        self._before, self._gain, self._peaks = np.ones((3, len(channels), 1))

    def run(self, x: Block) -> Block:
        """Return the block before `x`, limited; it is overwritten by the next call."""
        np.abs(x, out=self._out).max(axis=1, out=self._peaks, keepdims=True)
        allowed = np.minimum(self._caps / np.maximum(self._peaks, self._caps), 1)
        gain = np.minimum(np.minimum(self._gain + self._release, allowed), self._before)
        out: Block = np.multiply(gain - self._gain, self._steps, out=self._out)
        out += self._gain
        out *= self._held
        np.clip(out, -self._caps, self._caps, out=out)  # rounding errors
        self._gain, self._before = gain, allowed
        self._held[:] = x
        return out

    @property
    def peak(self) -> float:
        """The largest absolute sample of the latest block, before the limiter."""
        return float(self._peaks.max())

    def reset(self) -> None:
        """Forget what was before."""
        self._held.fill(0)
        self._gain, self._before = np.ones((2, len(self._caps), 1))
