"""Profile `faraday`: one wave for a dish, whose frequency is steady enough for water to answer.

Water answers at half the frequency once that has been steady, over a threshold, for about a second
(see `plugins.waves.water`). So the wave is a sine near the carrier of its dish:

- its frequency follows the pitch of the voice, by a tenth and by some Hertz a second at most;
- its amplitude follows the loudness of the voice, voiced or not, quickly up and slowly down, over
  a steady level that lasts as long as somebody speaks: a pattern is lost in a pause;
- from a second after the voice first comes within 6 dB of its loudest, the highest power so far
  rises by at most 2 dB a second, and so does the sum of those highest powers over all dishes, which
  bounds what a supply of several amplifiers and a floor have to bear;
- it begins and ends softly, and what lies below 10 Hz or at the resonance of the transducer is
  taken out; a limiter that looks ahead keeps it below full scale.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.waves.profiles.registry import Profile
from plugins.waves.profiles.voice import Array, Voice
from plugins.waves.v3 import HOP_LENGTH, PROCESSING_SR, reference

FRAME_S = HOP_LENGTH / PROCESSING_SR
SPOKEN = 10 ** (-30 / 20)
"""Loudness, the loudest being 1, from which the steady level is reached."""
LOUD = 10 ** (-6 / 20)
"""Loudness, the loudest being 1, that begins the onset. With less, the level no longer follows
voices that begin softly: of 90 recordings two would have a correlation below 0.85."""
ONSET_S = 1.0
"""Seconds of the onset, in which the level is free: a pattern needs about that long."""
DISHES = 6
SILENT = 10 ** (-60 / 20)
"""Loudness of a recording that holds no speech, full scale being 1."""
SEMITONES = 4.0
"""Distance from the usual pitch of the voice that moves the frequency by all of `follow`."""
BLOCK = 8
"""Samples whose peak the limiter takes together."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of the profile; `plugins.waves.settings` has their ranges and reasons."""

    lowest_hz: float = 20
    detune_hz: float = 0.5
    follow: float = 0.05
    glide_hz_per_s: float = 1
    attack_s: float = 0.03
    release_s: float = 1
    steady: float = 0.35
    rise_db_per_s: float = 2
    fade_s: float = 0.12
    ceiling_db: tuple[float, ...] = (-1,) * DISHES
    high_pass_hz: float = 10
    notch_hz: tuple[float, ...] = (0,) * DISHES
    notch_db: float = -12
    notch_width_hz: float = 2

    def ceiling(self, slot_id: int) -> float:
        """Return the largest sample of a dish, full scale being 1; slot 0: of the weakest dish."""
        return float(10 ** (min(_of_dish(self.ceiling_db, slot_id)) / 20))


def targets(slot_id: int) -> tuple[int, ...]:
    """Return the dish of the wave, the speaker's; 0 in a summary: any."""
    return (slot_id,)


def make(voice: Voice, settings: Mapping[str, Any]) -> Array:
    """Return the wave [shape=(1, n)] in full scales."""
    numbers = Numbers(**settings)
    n = voice.samples.size
    phase = np.cumsum(
        2 * np.pi / PROCESSING_SR * reference.to_samples(_frequency(voice, numbers), n)
    )
    fades = _fades(n, numbers.fade_s)
    notches = _of_dish(numbers.notch_hz, voice.slot_id)
    wave = _filtered(envelope(voice, numbers) * np.sin(phase), numbers, notches) * fades
    return _limited(wave, numbers.ceiling(voice.slot_id))[np.newaxis]


def envelope(voice: Voice, numbers: Numbers) -> Array:
    """Return the amplitude at each sample; its largest is that of the ceiling."""
    n = voice.samples.size
    loudest = voice.loudness.max()
    if loudest < SILENT:
        return np.zeros(n)
    loudness = voice.loudness / loudest
    varying = followed(loudness, numbers)
    steady = followed(np.minimum(loudness / SPOKEN, 1), numbers)
    varying /= varying.max()
    levels = (1 - numbers.steady) * varying + numbers.steady * steady / steady.max()
    onset = int(np.argmax(varying > LOUD)) + math.ceil(ONSET_S / FRAME_S)
    amplitude = reference.to_samples(_slowly_rising(levels, onset, numbers.rise_db_per_s), n)
    scaled: Array = amplitude / amplitude.max() * numbers.ceiling(voice.slot_id)
    return scaled


def followed(loudness: Array, numbers: Numbers) -> Array:
    """Return a level for each frame, which follows the loudness as a meter does."""
    up, down = (1 - math.exp(-FRAME_S / s) for s in (numbers.attack_s, numbers.release_s))
    level, levels = 0.0, []
    for now in loudness.tolist():
        level += (up if now > level else down) * (now - level)
        levels.append(level)
    return np.array(levels)


def _slowly_rising(levels: Array, onset: int, db_per_s: float) -> Array:
    """Lower what exceeds, after the frames of the onset, the highest level so far by too much."""
    most = 10 ** (db_per_s * FRAME_S / 20)
    highest, slow = float(levels[:onset].max()), levels.copy()
    for frame, level in enumerate(levels[onset:].tolist(), start=onset):
        slow[frame] = min(level, highest * most)
        highest = max(highest, slow[frame])
    return slow


def _of_dish(values: tuple[float, ...], slot_id: int) -> tuple[float, ...]:
    """Return the value of a dish, or those of all for slot 0."""
    return values[slot_id - 1 : slot_id] if slot_id else values


def _frequency(voice: Voice, numbers: Numbers) -> Array:
    """Return the frequency of each frame in Hertz; without a voice it stays where it is."""
    f0, voiced = voice.pitch
    carrier = numbers.lowest_hz + numbers.detune_hz * max(voice.slot_id - 1, 0)
    frequency = np.full_like(f0, carrier)
    if not voiced.any():
        return frequency
    usual = np.median(f0[voiced])
    semitones = 12 * np.log2(np.where(voiced, f0, usual) / usual)
    wanted = carrier * (1 + numbers.follow * np.clip(semitones / SEMITONES, -1, 1))
    most, now = numbers.glide_hz_per_s * FRAME_S, carrier
    for frame, is_voiced in enumerate(voiced):
        if is_voiced:
            now += min(max(wanted[frame] - now, -most), most)
        frequency[frame] = now
    return frequency


def _fades(n: int, fade_s: float) -> Array:
    rise = np.minimum(np.arange(1, n + 1) / max(fade_s * PROCESSING_SR, 1), 1)
    fade: Array = 0.5 - 0.5 * np.cos(np.pi * np.minimum(rise, rise[::-1]))
    return fade


def _filtered(wave: Array, numbers: Numbers, notches: tuple[float, ...]) -> Array:
    """Take out what lies below the high-pass and at the notches, without a delay."""
    size = 1 << (wave.size + PROCESSING_SR).bit_length()
    hertz = np.fft.rfftfreq(size, 1 / PROCESSING_SR)
    gain = np.sqrt(1 / (1 + (numbers.high_pass_hz / np.maximum(hertz, 1e-3)) ** 8))
    for notch_hz in filter(None, notches):
        away = (hertz - notch_hz) / (numbers.notch_width_hz / 2)
        gain *= 10 ** (numbers.notch_db / 20 * 2.0 ** -(away**2))
    filtered: Array = np.fft.irfft(np.fft.rfft(wave, size) * gain, size)[: wave.size]
    return filtered


def _limited(wave: Array, ceiling: float) -> Array:
    """Lower the gain softly, a period ahead, wherever the wave would be above the ceiling."""
    blocks = -(-wave.size // BLOCK)
    peaks = np.abs(np.pad(wave, (0, blocks * BLOCK - wave.size))).reshape(blocks, BLOCK).max(axis=1)
    if not (peaks > ceiling).any():
        return wave
    reach = int(0.05 * PROCESSING_SR / BLOCK)
    needed = np.minimum(1, ceiling / np.maximum(peaks, 1e-9))
    wide = np.pad(needed, 2 * reach, mode="edge")
    lowest = np.lib.stride_tricks.sliding_window_view(wide, 2 * reach + 1).min(axis=1)
    window = np.hanning(2 * reach + 3)[1:-1]
    gain = np.convolve(lowest, window / window.sum(), mode="valid")
    limited: Array = wave * np.minimum(np.repeat(gain, BLOCK)[: wave.size], 1)
    return limited


profile = Profile(make, targets)
