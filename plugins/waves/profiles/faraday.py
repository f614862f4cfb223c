"""Profile `faraday`: one wave for a dish, whose frequency is steady enough for water to answer.

Water answers at half the frequency once that has been steady, over a threshold, for about a second
(see `plugins.waves.water`). So the wave is a sine near the carrier of its dish:

- its frequency follows the pitch of the voice, by a tenth and by some Hertz a second at most;
- its amplitude follows the loudness of the voice, voiced or not, quickly up and slowly down;
- it begins and ends softly, and what lies below 10 Hz or at the resonance of the transducer is
  taken out; a limiter that looks ahead keeps it below full scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugins.waves.profiles.registry import Profile
from plugins.waves.profiles.voice import Array, Voice
from plugins.waves.v3 import HOP_LENGTH, PROCESSING_SR, reference

FRAME_S = HOP_LENGTH / PROCESSING_SR
LOUDNESS = 0.5
"""Power of the amplitude, so that quiet syllables keep the water moving: 20 dB become 10."""
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
    detune_hz: float = 1
    follow: float = 0.05
    glide_hz_per_s: float = 1
    attack_s: float = 0.03
    release_s: float = 0.8
    fade_s: float = 0.06
    ceiling_db: float = -1
    high_pass_hz: float = 10
    notch_hz: float = 0
    notch_db: float = -12
    notch_width_hz: float = 2


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
    wave = _filtered(envelope(voice, numbers) * np.sin(phase), numbers) * fades
    return _limited(wave, 10 ** (numbers.ceiling_db / 20))[np.newaxis]


def envelope(voice: Voice, numbers: Numbers) -> Array:
    """Return the amplitude at each sample; its largest is that of the ceiling."""
    n = voice.samples.size
    loudest = voice.loudness.max()
    if loudest < SILENT:
        return np.zeros(n)
    up, down = (1 - np.exp(-FRAME_S / s) for s in (numbers.attack_s, numbers.release_s))
    level, levels = 0.0, np.empty_like(voice.loudness)
    for frame, loudness in enumerate((voice.loudness / loudest) ** LOUDNESS):
        level += (up if loudness > level else down) * (loudness - level)
        levels[frame] = level
    followed = reference.to_samples(levels, n)
    amplitude: Array = followed / followed.max() * 10 ** (numbers.ceiling_db / 20)
    return amplitude


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


def _filtered(wave: Array, numbers: Numbers) -> Array:
    """Take out what lies below the high-pass and at the notch, without a delay."""
    size = 1 << (wave.size + PROCESSING_SR).bit_length()
    hertz = np.fft.rfftfreq(size, 1 / PROCESSING_SR)
    gain = np.sqrt(1 / (1 + (numbers.high_pass_hz / np.maximum(hertz, 1e-3)) ** 8))
    if numbers.notch_hz:
        away = (hertz - numbers.notch_hz) / (numbers.notch_width_hz / 2)
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
