"""Plays one test signal at a time on one channel, softly begun and softly ended."""

from threading import RLock

import numpy as np
from pydantic import Field

from backend.http import CamelCase
from plugins.playback.dishes import factor
from plugins.playback.mixer import Group, Mixer, Track
from plugins.playback.soundcheck.kinds import QUIET_DB, Signal
from plugins.playback.soundcheck.tones import FADE_S, TONES


class Check(CamelCase):
    """A test signal on a channel, at a level in dB of full scale."""

    channel: int = Field(ge=1, description="Its number, from 1.")
    signal: Signal
    level_db: float = Field(QUIET_DB, ge=-80, le=0)


class StartedCheck(Check):
    """A test signal that is played; its level is not over the cap of the channel."""

    name: str
    duration_s: float


class SoundCheck:
    """Plays test signals through a mixer; its calls are for any thread."""

    def __init__(self, mixer: Mixer) -> None:
        self.mixer = mixer
        self._playing: tuple[Group, int] | None = None
        self._lock = RLock()

    def start(self, check: Check) -> StartedCheck:
        """Play a signal instead of the one before."""
        mixer, index = self.mixer, check.channel - 1
        channel = mixer.channels[index]
        level_db = min(check.level_db, channel.cap_db)
        tone = TONES[check.signal](mixer.rate, check.channel)
        track = Track(tone, ((index, channel.polarity * factor(level_db)),))
        with self._lock:
            self.stop()
            group = mixer.play([track], mixer.soonest + mixer.block_frames)
            self._playing = group, round(channel.delay_ms * mixer.rate / 1000)
        told = check.model_dump() | {"level_db": level_db, "name": channel.name}
        return StartedCheck(**told, duration_s=len(tone) / mixer.rate)

    def stop(self) -> None:
        """Fade the signal within 60 ms, from the third block on that is not mixed yet."""
        with self._lock:
            if self._playing:
                group, delay = self._playing
                mixed = self.mixer.soonest - group.start - delay
                rest = group.tracks[0].samples[max(mixed + 2 * self.mixer.block_frames, 0) :]
                n = min(round(FADE_S * self.mixer.rate), len(rest))
                rest[:n] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(n) / n)
                rest[n:] = 0
                self._playing = None
