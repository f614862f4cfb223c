"""What the sound card plays, sample by sample: scheduled tracks through the chain of each channel.

    play(tracks, start)  -->  deque  -->  fill(out)
    any thread                            the card's: mix, delay, filters, limiter, stop

`fill` waits for nothing and keeps no memory. All tracks of a group begin at one sample, and samples
are counted from the start of the output.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from plugins.playback.dishes import Channel
from plugins.playback.filters import Filters
from plugins.playback.limiter import Limiter

BLOCK_S = 0.01
"""Of the chain; the limiter looks so far ahead, and a stop takes so long."""
FADE_S = 0.02
"""A track begins and ends with half a period of a cosine, so long."""
MAX_PEAK = 8.0
"""Full scales; what is more in a track is cut off, before the limiter."""
_QUIET = 1e-6
"""-120 dB: below this the chain rests."""

Samples = npt.NDArray[np.float32]


class Track(NamedTuple):
    """A mono signal at the rate of the mixer, and where it is played."""

    samples: npt.NDArray[Any]
    gains: tuple[tuple[int, float], ...]
    """Channels, counted from 0, each with a signed factor."""


class Group:
    """Tracks that begin at one sample."""

    def __init__(self, tracks: tuple[Track, ...], start: int) -> None:
        self.tracks = tracks
        self.start = start
        """The sample of the output; later than asked for if that had passed when it was due."""
        self.length = max((one.samples.size for one in tracks), default=0)

    @property
    def end(self) -> int:
        """The sample after its last one, without delays of channels."""
        return self.start + self.length


class Mixer:
    """Mixes groups of tracks into the channels at `rate` Hertz."""

    def __init__(self, channels: Sequence[Channel], rate: int) -> None:
        self.channels, self.rate = tuple(channels), rate
        self.block_frames = n = round(rate * BLOCK_S)
        self.position = 0
        """Samples that were filled in."""
        self.soonest = n
        """The first sample that is not mixed yet."""
        self.stopped = False
        """Set, from any thread: silent after `BLOCK_S`; what was to be played never is."""
        self._fade = np.cos(np.linspace(0, np.pi / 2, n, dtype=np.float32))[:, None] ** 2
        self._faded, self._is_resting = 0, True
        self._filters, self._limiter = Filters(channels, rate, n), Limiter(channels, rate, n)
        self._delays = [round(one.delay_ms * rate / 1000) for one in channels]
        self._incoming: deque[Group] = deque()
        self._groups: list[Group] = []
        self._mix, self._scratch = np.zeros((len(channels), n)), np.zeros(n, np.float32)
        self._ready, self._used = np.zeros((n, len(channels)), np.float32), n
        self._peaks = np.zeros(len(channels), np.float32)

    def play(self, tracks: Sequence[Track], start: int = 0) -> Group:
        """Play tracks together from the sample `start` on, or as soon as that can be."""
        group = Group(tuple(one._replace(samples=self._soft(one.samples)) for one in tracks), start)
        self._incoming.append(group)
        return group

    def levels(self) -> list[float]:
        """Return the latest peak of each channel, full scale being 1; it falls slowly."""
        return [float(one) for one in self._peaks]

    def fill(self, out: Samples) -> None:
        """Write the next samples [shape=(n_frames, n_channels)]; called by the output only."""
        done, n_frames = 0, len(out)
        while done < n_frames:
            if self._used == self.block_frames:
                self._render()
                self._used = 0
            n = min(n_frames - done, self.block_frames - self._used)
            out[done : done + n] = self._ready[self._used : self._used + n]
            self._used += n
            done += n
        self.position += n_frames
        if self.stopped or 0 < self._faded < self.block_frames:
            self._silence(out)
        else:
            self._faded = 0

    def _silence(self, out: Samples) -> None:
        """Fade to silence, then forget everything."""
        n = min(len(out), self.block_frames - self._faded)
        out[:n] *= self._fade[self._faded : self._faded + n]
        out[n:] = 0
        self._faded += n
        if self._faded == self.block_frames:
            self._incoming.clear()
            self._groups.clear()
            self._rest()

    def _rest(self) -> None:
        self._filters.reset()
        self._limiter.reset()
        self._ready.fill(0)
        self._peaks.fill(0)
        self._is_resting = True

    def _render(self) -> None:
        """Make the next block; what is mixed now is played one block later, after the limiter."""
        while self._incoming:
            group = self._incoming.popleft()
            group.start = max(group.start, self.soonest)
            self._groups.append(group)
        self._mix.fill(0)
        for group in self._groups:
            for track in group.tracks:
                self._add(track, self.soonest - group.start)
        self.soonest += self.block_frames
        last = self.soonest - max(self._delays)
        self._groups = [one for one in self._groups if one.end > last]
        if not np.isfinite(self._mix.sum()):  # a gain is no number
            self._mix.fill(0)
        if self._is_resting and not self._mix.any():
            return
        self._is_resting = False
        self._filters.run(self._mix)
        block = self._limiter.run(self._mix)
        self._ready[:] = block.T
        self._peaks *= np.float32(0.9)
        self._peaks[self._peaks < _QUIET] = 0
        np.maximum(self._peaks, np.abs(block, out=block).max(axis=1), out=self._peaks)
        if not self._groups and max(self._limiter.peak, float(self._peaks.max())) < _QUIET:
            self._rest()

    def _add(self, track: Track, begun: int) -> None:
        """Add the part of a track that is `begun` samples after its start, less each delay."""
        for index, factor in track.gains:
            first = begun - self._delays[index]
            low, high = max(first, 0), min(first + self.block_frames, track.samples.size)
            if low < high:
                part = self._scratch[: high - low]
                np.multiply(track.samples[low:high], factor, out=part)
                self._mix[index, low - first : high - first] += part

    def _soft(self, samples: npt.NDArray[Any]) -> Samples:
        """Return a copy that begins and ends softly; what is no number in it becomes 0."""
        y: Samples = np.zeros(samples.size, np.float32)
        np.copyto(y, np.clip(samples, -MAX_PEAK, MAX_PEAK), "same_kind", where=np.isfinite(samples))
        n = min(round(FADE_S * self.rate), y.size // 2)
        if n:
            rising = (1 - np.cos(np.pi * np.arange(n, dtype=np.float32) / n)) / 2
            y[:n] *= rising
            y[-n:] *= rising[::-1]
        return y
