"""Profile `faraday`: what a transducer and a dish must be able to rely on."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from plugins.waves.audio import reader, resample
from plugins.waves.profiles import Voice, faraday
from plugins.waves.profiles.faraday import Numbers
from plugins.waves.settings import WavesSettings
from plugins.waves.v3.reference import to_samples
from plugins.waves.water import RATE, Dish, G, respond
from tests.speech import LONG_LINES, speak

SR = 8000
SLOTS = range(1, 7)
CEILINGS_DB = (-1, -3, -6, -10, -20, -40)
ANY_VOICE = settings(
    deadline=None, max_examples=25, print_blob=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> "dict[str, list[np.ndarray]]":
    """Return a long sentence, and one word, in each of the embedded voices."""
    files = speak(tmp_path_factory.mktemp("faraday"), (LONG_LINES[0], "Yes."))
    return {
        name: [reader.read(path, rate=SR).samples for (_, line), path in files.items() if line == n]
        for n, name in enumerate(("long", "word"))
    }


SYLLABLES = st.lists(
    st.tuples(
        st.floats(0.05, 0.6),
        st.sampled_from([0, 70, 150, 400]),
        st.integers(-40, -6),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=8,
)
"""Seconds, pitch in Hertz (0: unvoiced), dBFS and seconds of the pause after it."""


def speech(syllables: list[tuple[float, int, int, float]]) -> "np.ndarray":
    """Return syllables one after the other, with a tenth of a second of silence at both ends."""
    noise = np.random.default_rng(1)
    pieces = [np.zeros(SR // 10)]
    for seconds, hertz, level_db, pause_s in syllables:
        times = np.arange(int(seconds * SR)) / SR
        buzz = np.sign(np.sin(2 * np.pi * hertz * times))
        sound = buzz if hertz else noise.standard_normal(times.size) / 3
        pieces += [10 ** (level_db / 20) * sound * np.hanning(times.size)]
        pieces += [np.zeros(int(pause_s * SR))]
    return np.concatenate([*pieces, pieces[0]]).astype(np.float32)


def made(y: "np.ndarray", slot_id: int = 1, **numbers: object) -> "np.ndarray":
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
        carrier = 20 + 0.5 * (slot_id - 1)
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
        highest_hz = (20 + 0.5 * (slot_id - 1)) * 1.05
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


def test_unvoiced_sounds_count() -> None:
    """A hiss as loud as the tone before it moves the water as much."""
    times = np.arange(2 * SR) / SR
    hiss = np.random.default_rng(1).standard_normal(times.size)
    y = 0.2 * np.where(times < 1, 2**0.5 * np.sin(2 * np.pi * 150 * times), hiss)

    voiced = np.arange(0, 2 * SR + 1, 128) < SR
    voice = Voice(y.astype(np.float32), track=lambda _: (np.where(voiced, 150.0, 0.0), voiced))

    level = faraday.envelope(voice, Numbers())

    assert level[int(1.8 * SR)] > 0.75 * level[int(0.8 * SR)]


def test_a_word_of_any_voice_moves_it(spoken: "dict[str, list[np.ndarray]]") -> None:
    """Also where the algorithm V3 finds no pitch, as in a man's "Yes."."""
    for y in spoken["word"]:
        assert 0.7 < np.abs(made(y)).max()


def test_silence_stays_silent() -> None:
    """A recording without speech makes no sound, and no number that is none."""
    assert 0 == np.abs(made(np.zeros(SR))).max()
    assert 0 == np.abs(made(np.full(1, 1e-4))).max()


def test_the_level_is_that_of_a_meter(
    utterances: "list[np.ndarray]", spoken: "dict[str, list[np.ndarray]]"
) -> None:
    """It follows the voice's own loudness, at the speed of the profile, above 0.95."""
    for y in [*utterances, *spoken["word"], *spoken["long"]]:
        _, envelope = hertz_and_envelope(made(y))

        meter = to_samples(faraday.followed(Voice(y).loudness, Numbers()), y.size)
        assert np.corrcoef(envelope, meter * faraday._fades(y.size, 0.12))[0, 1] >= 0.95


def test_a_level_lasts_while_somebody_speaks() -> None:
    """After a loud word it stays while the next are quiet, and falls when nobody speaks."""
    times = np.arange(3 * SR) / SR
    tone = np.sin(2 * np.pi * 150 * times) * np.select([times < 0.5, times < 2], [0.5, 0.03])

    levels = [
        faraday.envelope(Voice(tone.astype(np.float32)), replace(Numbers(), steady=steady))
        for steady in (0, 0.35)
    ]

    quiet, silent = int(1.9 * SR), int(2.9 * SR)
    assert levels[0][quiet] / levels[0].max() < 0.32
    assert 0.5 < levels[1][quiet] / levels[1].max() < 0.6
    assert levels[1][silent] / levels[1][quiet] == pytest.approx(np.exp(-0.9), abs=0.05)


@pytest.mark.parametrize("db_per_s", [2, 6])
def test_the_power_rises_slowly_after_the_onset(db_per_s: float) -> None:
    """A voice that grows louder is followed by so many dB a second, and reaches its height."""
    times = np.arange(5 * SR) / SR
    tone = np.sin(2 * np.pi * 150 * times) * np.where(times < 1.5, 0.12, 0.2)

    _, envelope = hertz_and_envelope(made(tone, rise_db_per_s=db_per_s))

    levels_db = 20 * np.log10(envelope[[int(s * SR) for s in (1.4, 1.6, 1.8, 4)]])
    assert levels_db[2] - levels_db[1] == pytest.approx(0.2 * db_per_s, abs=0.05)
    assert levels_db[3] - levels_db[0] == pytest.approx(-20 * np.log10(0.35 + 0.65 * 0.6), abs=0.1)


@ANY_VOICE
@given(syllables=SYLLABLES, slot_id=st.integers(0, 6))
def test_any_voice_is_safe(syllables: list[tuple[float, int, int, float]], slot_id: int) -> None:
    """The cap holds, nothing knocks, the phase only advances, nothing spoken is lost."""
    voice = Voice(speech(syllables), slot_id)

    (wave,) = faraday.make(voice, {"ceiling_db": CEILINGS_DB})

    peak, cap = np.abs(wave).max(), 10 ** ((CEILINGS_DB[slot_id - 1] if slot_id else -40) / 20)
    highest_hz = 1.05 * (20 + 0.5 * max(slot_id - 1, 0))
    hertz, envelope = hertz_and_envelope(wave)
    assert 0.1 * cap < peak <= cap + 1e-9
    assert np.abs(np.diff(wave)).max() <= 1.2 * 2 * np.pi * highest_hz / SR * peak
    assert (hertz[envelope > 0.5 * peak] > 0).all()


@ANY_VOICE
@given(syllables=SYLLABLES)
def test_the_highest_power_of_any_voice_rises_slowly(
    syllables: list[tuple[float, int, int, float]],
) -> None:
    """By at most 2 dB a second, from a second after the voice is within 6 dB of its loudest."""
    voice = Voice(speech(syllables))

    level = faraday.envelope(voice, Numbers())

    meter = to_samples(faraday.followed(voice.loudness, Numbers()), level.size)
    onset = int(np.argmax(meter > meter.max() / 2)) + int(1.02 * SR)
    highest_db = 20 * np.log10(np.maximum.accumulate(level)[onset:])
    assert (highest_db[400:] - highest_db[:-400] <= 2 * 400 / SR + 2 * faraday.FRAME_S).all()


def test_the_cap_and_the_notch_are_those_of_the_dish(utterances: "list[np.ndarray]") -> None:
    """Each dish has its own; a wave for any dish has the lowest cap and all notches."""
    y = np.concatenate(utterances)
    notches = {"notch_hz": (0, 20.5, 0, 0, 0, 0), "notch_db": -20, "notch_width_hz": 10}

    peaks = [np.abs(made(y, slot_id, ceiling_db=CEILINGS_DB)).max() for slot_id in range(7)]
    left = [
        made(y, slot_id, follow=0, **notches).std() / made(y, slot_id, follow=0).std()
        for slot_id in (0, 1, 2)
    ]

    expected = [-40, *CEILINGS_DB]
    assert 20 * np.log10(peaks) == pytest.approx(expected, abs=0.3)
    assert (20 * np.log10(peaks) <= np.array(expected) + 1e-9).all()
    assert left == [pytest.approx(0.1, rel=0.15), 1, pytest.approx(0.1, rel=0.15)]


def test_a_cap_of_each_dish_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six numbers, separated by commas."""
    monkeypatch.setenv("RR_WAVES_FARADAY_CEILING_DB", "-1, -3,-6,-10,-20,-40")

    numbers = Numbers(**WavesSettings().of_profile("faraday"))

    assert CEILINGS_DB == numbers.ceiling_db


@pytest.mark.parametrize("values", [(-1,) * 5, (-1,) * 7, (0,) * 6, (-41,) * 6])
def test_a_cap_is_given_for_each_of_six_dishes(values: tuple[float, ...]) -> None:
    """From -40 to -1 dBFS."""
    with pytest.raises(ValidationError, match="faraday_ceiling_db"):
        WavesSettings(faraday_ceiling_db=values)


def test_the_limiter_looks_ahead() -> None:
    """A wave of twice the ceiling comes out below it, as smooth as it went in."""
    times = np.arange(SR) / SR
    loud = np.sin(2 * np.pi * 25 * times) * (1 + np.sin(np.pi * times) ** 2)

    limited = faraday._limited(loud, 1.0)

    assert np.abs(limited).max() <= 1 + 1e-9
    assert np.abs(np.diff(limited)).max() <= 1.2 * 2 * np.pi * 25 / SR


@pytest.mark.parametrize("slot_id", [1, 6])
def test_water_moves(slot_id: int, spoken: "dict[str, list[np.ndarray]]") -> None:
    """In a dish in the computer a sentence raises a pattern within 1.5 s, at 1.25 g."""
    y = spoken["long"][slot_id - 1]
    wave = resample(made(y, slot_id).astype(np.float32), SR, RATE)

    response = respond(Dish(0.05), wave[: 3 * RATE // 2], 1.25 * G)

    assert response.seen_after_s is not None
