"""The proposed notches make the response of a simulated transducer flat, through the real mixer."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.playback.dishes import Channel, Notch
from plugins.playback.mixer import Mixer, Track
from plugins.playback.soundcheck.measuring import HERTZ, Response, measure
from plugins.playback.soundcheck.proposing import POINTS, notches_db, propose
from plugins.playback.soundcheck.report import analyse
from plugins.playback.tones import sweep
from tests.plugins.playback.soundcheck.transducer import Array, answer, recorded

SR = 2000


def heard(channel: Channel, hertz: float, q: float, sensor: str) -> Array:
    """Return the recording of the sweep on a channel, as the mixer plays it."""
    mixer = Mixer([channel], SR)
    mixer.play([Track(sweep(SR), ((0, 0.5),))])
    played = np.zeros((23 * SR, 1), np.float32)
    mixer.fill(played)
    y = answer(played[:, 0].astype(np.float64), SR, hertz, q, sensor)
    noise = np.random.default_rng(3).normal(0, 1e-4, len(y))
    return np.asarray(0.5 * y / np.max(np.abs(y)) + noise)


def flattened(notches: tuple[Notch, ...], hertz: float, q: float, sensor: str) -> Response:
    """Return the response that is measured when the mixer plays the sweep with these notches."""
    return measure(heard(Channel("dish", notch=notches, cap_db=0), hertz, q, sensor), SR)


def spread_db(response: Response, low_hz: float, high_hz: float) -> float:
    """Return how far the level is from its middle in a band."""
    inside = response.db[(HERTZ >= low_hz) & (HERTZ <= high_hz)]
    return float(np.ptp(inside)) / 2


def test_a_usual_transducer_becomes_flat() -> None:
    """A resonance at 24 Hz of 18 dB is gone, from 10 to 160 Hz within 2 dB; it was not before."""
    before = measure(recorded(24, 8), SR)
    proposal = propose(before)

    after = flattened(proposal.notches, 24, 8, "resonance")

    assert spread_db(before, 10, 160) > 8
    assert spread_db(after, 10, 160) < 2
    assert [proposal.low_hz, proposal.high_hz] == pytest.approx([8, 160])


@pytest.mark.parametrize(
    ("sensor", "low_hz", "high_hz"), [("acceleration", 20, 160), ("displacement", 10, 28)]
)
def test_a_mass_on_a_spring_becomes_flat_where_it_can_move(
    sensor: str, low_hz: float, high_hz: float
) -> None:
    """The band goes over the resonance; beyond, no gain up to 6 dB would do."""
    proposal = propose(measure(recorded(24, 8, sensor=sensor), SR))

    after = flattened(proposal.notches, 24, 8, sensor)

    assert proposal.low_hz <= low_hz
    assert proposal.high_hz >= high_hz
    assert spread_db(after, low_hz, high_hz) <= 2


@pytest.mark.parametrize("notch", [(), (Notch(60, 12, 20),)])
def test_what_is_measured_after_the_proposal_is_flat(notch: tuple[Notch, ...]) -> None:
    """As the show will hear it, by the filters of the mixer; what is proposed then is the same.

    The notches that were there before, good or bad, are known and count for nothing.
    """
    channel = Channel("dish", notch=notch, cap_db=0)
    first = analyse(heard(channel, 24, 8, "resonance"), SR, channel)
    (proposed,) = tomllib.loads(f"notch = {first['lines']['notch']}")["notch"]
    channel = replace(channel, notch=(Notch(**proposed),))

    second = analyse(heard(channel, 24, 8, "resonance"), SR, channel)

    before, after = ([one["db"] for one in told["bands"]] for told in (first, second))
    assert np.ptp(before) / 2 > 6
    assert np.ptp(after) / 2 < 2
    assert [8, 160] == pytest.approx(second["flatHz"])
    (again,) = tomllib.loads(f"notch = {second['lines']['notch']}")["notch"]
    assert list(again.values()) == pytest.approx(list(proposed.values()), abs=0.3)
    assert again["hz"] == pytest.approx(24, abs=0.5)


@given(hertz=st.floats(12, 120), q=st.floats(3, 20), seed=st.integers(0, 99))
def test_any_resonance_is_flattened(hertz: float, q: float, seed: int) -> None:
    """Within 2 dB over the whole band, by the filter of the mixer."""
    before = measure(recorded(hertz, q, seed=seed), SR)

    proposal = propose(before)

    after = np.interp(POINTS, HERTZ, before.db) + notches_db(proposal.notches)
    assert np.ptp(after[(POINTS > 8.5) & (POINTS < 155)]) < 4
    assert proposal.high_hz / proposal.low_hz > 15


def test_two_resonances_get_two_notches() -> None:
    """Both together make the band flat."""
    first = recorded(24, 12, noise_db=-200)

    proposal = propose(measure(answer(first, SR, 63, 6, "resonance") / 8, SR))

    assert sorted(one.hz for one in proposal.notches) == pytest.approx([24, 63], abs=0.5)
    assert proposal.high_hz / proposal.low_hz > 15


def test_a_flat_response_needs_no_notch() -> None:
    """Nothing is proposed for it."""
    assert propose(measure(recorded(24, 1), SR)).notches == ()


def test_what_noise_hides_is_not_raised() -> None:
    """Displacement falls below the noise above 60 Hz: the notch is that of a quiet recording."""
    noisy = propose(measure(recorded(24, 8, sensor="displacement", noise_db=-40), SR))
    quiet = propose(measure(recorded(24, 8, sensor="displacement", noise_db=-80), SR))

    (one,), (other,) = noisy.notches, quiet.notches
    assert one.hz == pytest.approx(other.hz, abs=1)
    assert one.db == pytest.approx(other.db, abs=1.5)


def test_noise_that_looks_like_a_level_counts_for_nothing() -> None:
    """Above 40 Hz there is nothing but noise, louder than the sweep: the notch stays as it is."""
    quiet = measure(recorded(24, 8), SR)
    louder = np.where(HERTZ > 40, 9.0, 0.0)
    hidden = Response(quiet.db + louder, quiet.noise_db + np.where(HERTZ > 40, 80.0, 0.0))

    (one,), (other,) = propose(hidden).notches, propose(quiet).notches

    assert [one.hz, one.db] == pytest.approx([other.hz, other.db], abs=0.5)
    assert one.width == pytest.approx(other.width, rel=0.1)


def test_the_filter_is_that_of_the_mixer() -> None:
    """What a proposal reckons with is what the mixer does to a tone."""
    notch = Notch(24, 12, 6)
    mixer = Mixer([Channel("dish", notch=(notch,), cap_db=0)], 48000)
    tone = np.sin(2 * np.pi * 27 * np.arange(3 * 48000) / 48000)
    mixer.play([Track(tone, ((0, 0.5),))])
    played = np.zeros((2 * 48000, 1), np.float32)

    mixer.fill(played)

    actual_db = 20 * np.log10(np.abs(played[48000:]).max() / 0.5)
    assert np.interp(27, POINTS, notches_db([notch])) == pytest.approx(actual_db, abs=0.1)


def test_a_gain_makes_up_for_what_is_cut() -> None:
    """A wide one takes more than a narrow one."""
    narrow = propose(measure(recorded(24, 8), SR))
    wide = propose(measure(recorded(24, 8, sensor="velocity"), SR))

    assert 0 <= narrow.gain_db < wide.gain_db <= 6


def test_a_proposed_notch_can_be_written_to_dishes() -> None:
    """A notch of the widest kind is within the ranges of the file."""
    proposal = propose(measure(recorded(14, 3, sensor="velocity"), SR))

    assert all(notch.width <= 1.9 * notch.hz for notch in proposal.notches)
