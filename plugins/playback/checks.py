"""Plays one test signal at a time on one channel, softly begun and softly ended."""

from io import BytesIO
from itertools import count

import numpy as np

from backend.http import CamelCase
from plugins.playback.dishes import factor
from plugins.playback.kinds import Signal
from plugins.playback.mixer import Group, Mixer, Track
from plugins.playback.steps import read
from plugins.playback.tones import FADE_S, TONES

_IDS = count(1)


class StartedCheck(CamelCase):
    """A test signal that is played; its level in dB of full scale is not over the channel's cap."""

    channel: int
    signal: Signal
    level_db: float
    name: str
    duration_s: float
    id: int
    """As `check` of `GET /v1/playback` has it until the signal is ended or another begins."""


class SoundCheck:
    """Plays test signals through a mixer; its calls are for one thread at a time."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self.latest: Group | None = None
        """The latest signal, which may be over."""
        self._id = 0

    @property
    def id(self) -> int:
        """That of the latest signal, which may be over; 0 without one, or once it was ended."""
        return self._id if self.latest else 0

    def start(self, number: int, signal: Signal, level_db: float, speech: bytes) -> StartedCheck:
        """Play a signal on the channel of a number instead of the one before.

        `speech` is the WAV of what is spoken, or empty; its largest sample gets the level.
        """
        mixer = self._mixer
        channel = mixer.channels[number - 1]
        level_db = min(level_db, channel.cap_db)
        if speech:
            tone = read(BytesIO(speech), mixer.rate)
            tone /= max(np.abs(tone).max(), 1e-6)
        else:
            tone = TONES[signal](mixer.rate)
        self.stop()
        track = Track(tone, ((number - 1, channel.polarity * factor(level_db)),))
        self.latest = mixer.play([track], mixer.soonest + mixer.block_frames)
        self._id = next(_IDS)
        return StartedCheck(
            channel=number,
            signal=signal,
            level_db=level_db,
            name=channel.name,
            duration_s=len(tone) / mixer.rate,
            id=self._id,
        )

    def stop(self) -> None:
        """Fade the signal within 60 ms, from the third block on that is not mixed yet."""
        self._id = 0
        if group := self.latest:
            samples, ((index, _),) = group.tracks[0]
            delay = round(self._mixer.channels[index].delay_ms * self._mixer.rate / 1000)
            mixed = self._mixer.soonest - group.start - delay
            rest = samples[max(mixed + 2 * self._mixer.block_frames, 0) :]
            n = min(round(FADE_S * self._mixer.rate), len(rest))
            rest[:n] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(n) / n)
            rest[n:] = 0
            group.length = min(group.length, len(samples) - len(rest) + n)
