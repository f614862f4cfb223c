"""The response of a simulated transducer is measured from a recording of the sweep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.playback.soundcheck.measuring import HERTZ, MeasurementError, measure, resonances
from plugins.playback.tones import HIGHEST_HZ, LOWEST_HZ, sweep
from tests.plugins.playback.soundcheck.transducer import SENSORS, Array, answer, recorded

SR = 2000


def true_db(hertz: Array, resonance: float, q: float, sensor: str) -> Array:
    """Return the response of the simulated transducer itself."""
    impulse = np.zeros(100 * SR)
    impulse[0] = 1
    spectrum = np.abs(np.fft.rfft(answer(impulse, SR, resonance, q, sensor)))
    return 20 * np.log10(np.interp(hertz, np.fft.rfftfreq(len(impulse), 1 / SR), spectrum))


def test_a_sweep_has_its_full_level_in_its_band() -> None:
    """From 8 to 160 Hz its envelope is 1, and it begins and ends in silence."""
    tone = sweep(SR)

    inside = tone[round(1.0 * SR) : round(19.0 * SR)]
    assert len(tone) == 20 * SR
    assert np.max(np.abs(inside)) == pytest.approx(1, abs=0.001)
    assert np.abs(tone[[0, -1]]).max() < 0.001
    turns = np.flatnonzero(np.diff(np.signbit(inside)))
    assert SR / 2 / np.diff(turns[:4]).mean() < 1.1 * LOWEST_HZ
    assert SR / 2 / np.diff(turns[-40:]).mean() > 0.95 * HIGHEST_HZ


@pytest.mark.parametrize("sensor", SENSORS)
def test_the_response_is_that_of_the_transducer(sensor: str) -> None:
    """Within a decibel wherever the sweep is 30 dB over the noise."""
    response = measure(recorded(24, 8, sensor=sensor), SR)

    sure = response.db - response.noise_db > 30
    difference = (response.db - true_db(HERTZ, 24, 8, sensor))[sure]
    assert sure.mean() > 0.2
    assert np.abs(difference - np.median(difference)).max() < 1


def test_the_resonance_of_a_usual_transducer_is_found() -> None:
    """At 24 Hz, within half a hertz and a twentieth of its Q, at the rate of a sound card."""
    (found,) = resonances(measure(recorded(24, 8, sensor="acceleration", sr=48000), 48000))

    assert found.hertz == pytest.approx(24, abs=0.5)
    assert found.q == pytest.approx(8, rel=0.05)
    assert found.over_db > 9


@given(
    hertz=st.floats(12, 120),
    q=st.floats(5, 30),
    sensor=st.sampled_from(SENSORS),
    latency_s=st.floats(0, 3),
    noise_db=st.floats(-80, -50),
    seed=st.integers(0, 99),
)
def test_any_resonance_is_found(
    hertz: float, q: float, sensor: str, latency_s: float, noise_db: float, seed: int
) -> None:
    """Whatever its frequency, its Q, the sensor, the latency and the noise; and no other is."""
    recording = recorded(hertz, q, sensor=sensor, latency_s=latency_s, noise_db=noise_db, seed=seed)

    (found,) = resonances(measure(recording, SR))

    assert found.hertz == pytest.approx(hertz, abs=0.5)
    assert found.q == pytest.approx(q, rel=0.1)


def test_two_resonances_are_told_apart() -> None:
    """The stronger one comes first."""
    first = recorded(24, 12, noise_db=-200)

    found = resonances(measure(answer(first, SR, 63, 6, "resonance") / 8, SR))

    assert [one.hertz for one in found] == pytest.approx([24, 63], abs=0.5)


def test_a_flat_response_has_no_resonance() -> None:
    """A loopback cable, with noise."""
    response = measure(recorded(24, 1), SR)

    assert resonances(response) == []
    assert np.ptp(response.db) < 1


@pytest.mark.parametrize("latency_s", [0.0, 0.1, 2.5])
def test_the_latency_does_not_matter(latency_s: float) -> None:
    """It changes nothing."""
    here = measure(recorded(24, 8, noise_db=-200, latency_s=latency_s), SR)
    usual = measure(recorded(24, 8, noise_db=-200), SR)

    assert np.abs(here.db - usual.db).max() < 0.1


@pytest.mark.parametrize("noise_db", [-50, -40, -30])
def test_the_noise_is_told(noise_db: float) -> None:
    """Noise of white power: what the sweep's own spectrum makes of it, within 3 dB on average."""
    response = measure(recorded(24, 1, noise_db=noise_db), SR)

    quiet = measure(recorded(24, 1, noise_db=-200), SR)
    error = 10 ** (response.db / 20) - 10 ** (quiet.db / 20)  # of the level: half of the noise
    actual_db = 10 * np.log10(2 * np.mean(error**2))
    assert actual_db == pytest.approx(10 * np.log10(np.mean(10 ** (response.noise_db / 10))), abs=3)


def test_hum_is_noise() -> None:
    """A tone at 50 Hz takes the coherence there, and is no resonance."""
    recording = recorded(24, 8)
    hum = 0.05 * np.sin(2 * np.pi * 50 * np.arange(len(recording)) / SR)

    response = measure(recording + hum, SR)

    assert np.interp(50, HERTZ, response.coherence) < 0.9
    assert np.interp(40, HERTZ, response.coherence) > 0.99
    assert [24] == pytest.approx([one.hertz for one in resonances(response)], abs=0.5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda y: 1e-6 * y, "is silent"),
        (lambda y: 0 * y, "is silent"),
        (lambda y: np.clip(3 * y, -1, 1), "clips at"),
        (lambda y: y[: 15 * SR], "has 15.0 s"),
        (lambda y: np.where(y > 0.4, np.nan, y), "no numbers"),
        (lambda y: np.random.default_rng(2).normal(0, 0.1, len(y)), "over the noise"),
        (lambda y: 0.001 * y + np.random.default_rng(2).normal(0, 0.2, len(y)), "over the noise"),
        (lambda y: np.stack((y, y)), "mono"),
    ],
)
def test_what_shows_no_response_is_refused(change: "object", reason: str) -> None:
    """The message says why."""
    assert callable(change)

    with pytest.raises(MeasurementError, match=reason):
        measure(change(recorded(24, 8)), SR)
