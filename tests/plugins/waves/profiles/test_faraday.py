"""Profile `faraday`: what a transducer and a dish must be able to rely on."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from plugins.waves.audio import resample
from plugins.waves.profiles import Voice, faraday
from plugins.waves.profiles.faraday import Numbers
from plugins.waves.settings import WavesSettings
from plugins.waves.water import RATE, Dish, G, respond

SR = 8000
SLOTS = range(1, 7)


def made(y: "np.ndarray", slot_id: int = 1, **numbers: float) -> "np.ndarray":
    """Return the wave of a voice."""
    (wave,) = faraday.make(Voice(y.astype(np.float32), slot_id), numbers)
    return np.asarray(wave)


def hertz_and_envelope(wave: "np.ndarray") -> tuple["np.ndarray", "np.ndarray"]:
    """Return the frequency and the amplitude at each sample, of the analytic signal."""
    size = 1 << (2 * wave.size).bit_length()
    spectrum = np.fft.fft(wave, size)
    spectrum[1 : size // 2] *= 2
    spectrum[size // 2 :] = 0
    analytic = np.fft.ifft(spectrum)[: wave.size]
    return np.gradient(np.unwrap(np.angle(analytic))) * SR / (2 * np.pi), np.abs(analytic)


def whisper(seconds: float = 2.0) -> "np.ndarray":
    """Return noise in syllables, of which nothing is voiced."""
    times = np.arange(int(seconds * SR)) / SR
    noise = np.random.default_rng(1).standard_normal(times.size)
    return 0.02 * noise * np.maximum(np.sin(2 * np.pi * 3 * times), 0)


def test_the_settings_are_the_numbers() -> None:
    """Each number has a setting with a range and a reason, and its default is that."""
    assert asdict(Numbers()) == WavesSettings().of_profile("faraday")


def test_a_wave_stays_near_its_carrier_and_glides_slowly(utterances: "list[np.ndarray]") -> None:
    """Within a twentieth of it, and by no more than one Hertz in a second."""
    for slot_id, y in zip(SLOTS, utterances, strict=True):
        carrier = 20 + (slot_id - 1)
        frequency = faraday._frequency(Voice(y), replace(Numbers(), lowest_hz=carrier))

        steps = np.abs(np.diff(frequency))
        assert (np.abs(frequency / carrier - 1) <= 0.05 + 1e-9).all()
        assert steps.max() <= 1 * faraday.FRAME_S + 1e-9
        wave = made(y, slot_id)
        hertz, envelope = hertz_and_envelope(wave)
        loud = envelope > 0.3
        assert np.median(hertz[loud]) == pytest.approx(carrier, rel=0.06)


def test_nothing_knocks_and_nothing_clips(utterances: "list[np.ndarray]") -> None:
    """Steps are a sine's, the peak is the ceiling, both ends are silent, the band is kept."""
    for slot_id in SLOTS:
        wave = made(np.concatenate(utterances[slot_id - 1 :] + utterances[: slot_id - 1]), slot_id)

        peak = np.abs(wave).max()
        highest_hz = (20 + slot_id - 1) * 1.05
        power = np.abs(np.fft.rfft(wave)) ** 2
        hertz = np.fft.rfftfreq(wave.size, 1 / SR)
        assert 0.8 < peak <= 10 ** (-1 / 20) + 1e-9
        assert np.abs(np.diff(wave)).max() <= 1.2 * 2 * np.pi * highest_hz / SR * peak
        assert max(abs(wave[0]), abs(wave[-1])) < 0.01
        assert power[(hertz > 15) & (hertz < 45)].sum() > 0.995 * power.sum()


@pytest.mark.parametrize("level", [1.0, 0.1])
def test_a_whisper_moves_it_too(level: float) -> None:
    """Nothing is voiced; a spoken word is never silent, however quiet it is."""
    wave = made(level * whisper())

    assert 0.8 < np.abs(wave).max()


def test_silence_stays_silent() -> None:
    """A recording without speech makes no sound, and no number that is none."""
    assert 0 == np.abs(made(np.zeros(SR))).max()
    assert 0 == np.abs(made(np.full(1, 1e-4))).max()


def test_the_envelope_follows_the_voice(utterances: "list[np.ndarray]") -> None:
    """The wave's own envelope is the one that was made of the loudness."""
    for y in utterances:
        voice = Voice(y)
        _, envelope = hertz_and_envelope(made(y))

        wanted = faraday.envelope(voice, Numbers()) * faraday._fades(y.size, 0.06)
        assert np.corrcoef(envelope, wanted)[0, 1] >= 0.95


def test_a_notch_and_the_ceiling_are_kept(utterances: "list[np.ndarray]") -> None:
    """At the resonance the wave is 20 dB lower; no sample is above the ceiling."""
    y = np.concatenate(utterances)

    plain = made(y, lowest_hz=24, follow=0)
    notched = made(y, lowest_hz=24, follow=0, notch_hz=24, notch_db=-20, notch_width_hz=10)
    low = made(y, ceiling_db=-20)

    assert 0.1 == pytest.approx(notched.std() / plain.std(), rel=0.15)
    assert np.abs(low).max() <= 0.1 + 1e-9


def test_the_limiter_looks_ahead() -> None:
    """A wave of twice the ceiling comes out below it, as smooth as it went in."""
    times = np.arange(SR) / SR
    loud = np.sin(2 * np.pi * 25 * times) * (1 + np.sin(np.pi * times) ** 2)

    limited = faraday._limited(loud, 1.0)

    assert np.abs(limited).max() <= 1 + 1e-9
    assert np.abs(np.diff(limited)).max() <= 1.2 * 2 * np.pi * 25 / SR


def test_water_moves(utterances: "list[np.ndarray]") -> None:
    """In a dish in the computer a pattern shows in the first seconds of an utterance."""
    y = np.concatenate(utterances)
    wave = resample(made(y).astype(np.float32), SR, RATE)

    response = respond(Dish(0.05, 0.010), wave, G)

    assert response.seen_after_s is not None
    assert response.seen_after_s < 2
