"""The cap of every channel: a limiter that looks one block ahead and cannot be switched off."""

from collections.abc import Sequence

import numpy as np

from plugins.playback.dishes import Channel
from plugins.playback.filters import Block

RELEASE_S = 0.5
"""From silence to full gain; shorter than a phrase, longer than a period of the lowest wave."""
_TINY = 1e-30


class Limiter:
    """Returns each block one block later, no sample above the cap of its channel.

    The gain is a line from one edge of a block to the other, and at both low enough for the block.
    """

    def __init__(self, channels: Sequence[Channel], rate: int, n_frames: int) -> None:
        n = len(channels)
        self._caps = np.array([one.cap for one in channels])
        self._release = n_frames / (rate * RELEASE_S)
        self._steps = np.arange(1, n_frames + 1) / n_frames
        self._held, self._out = np.zeros((n, n_frames)), np.zeros((n, n_frames))
        self._allowed, self._before, self._gain, self._next = (np.ones(n) for _ in range(4))
        self.peak = 0.0
        """The largest absolute sample of the latest block, before the limiter."""

    def run(self, x: Block) -> Block:
        """Return the block before `x`, limited; it is overwritten by the next call."""
        out = np.abs(x, out=self._out)
        out.max(axis=1, out=self._allowed)
        self.peak = float(self._allowed.max())
        np.maximum(self._allowed, _TINY, out=self._allowed)
        np.divide(self._caps, self._allowed, out=self._allowed)
        np.minimum(self._allowed, 1, out=self._allowed)
        np.add(self._gain, self._release, out=self._next)
        np.minimum(self._next, self._allowed, out=self._next)
        np.minimum(self._next, self._before, out=self._next)
        self._next -= self._gain
        np.multiply(self._next[:, None], self._steps, out=out)
        out += self._gain[:, None]
        out *= self._held
        np.clip(out, -self._caps[:, None], self._caps[:, None], out=out)  # rounding errors
        self._gain += self._next
        self._before, self._allowed = self._allowed, self._before
        self._held[:] = x
        return out

    def reset(self) -> None:
        """Forget what was before."""
        self._held.fill(0)
        self._gain.fill(1)
        self._before.fill(1)
