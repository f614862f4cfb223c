"""What reaches the transducers: exact samples, filters, caps whatever comes, and a stop."""

from math import cos, pi, tan
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import freqz, lfilter

from plugins.playback.dishes import Channel, Notch, factor
from plugins.playback.filters import DC_BLOCK_HZ, Filters
from plugins.playback.mixer import BLOCK_S, FADE_S, Mixer, Track

RATE = 48_000
NOTCHES = (Notch(24, 12, 6), Notch(60, -6, 30), Notch(24, 40, 24))


def mixer(*channels: Channel, n: int = 2) -> Mixer:
    """Return a mixer of these channels, or of `n` whose cap is full scale."""
    return Mixer(channels or tuple(Channel(str(i), cap_db=0) for i in range(n)), RATE)


def played(mixer: Mixer, seconds: float, frames: int = 480) -> npt.NDArray[np.float32]:
    """Return what it plays next [shape=(n_frames, n_channels)], asked for in blocks."""
    total = round(seconds * mixer.rate)
    blocks = [
        np.full((min(frames, total - first), len(mixer.channels)), np.nan, np.float32)
        for first in range(0, total, frames)
    ]
    for block in blocks:
        mixer.fill(block)
    return np.concatenate(blocks)


def sine(hz: float, seconds: float, peak: float = 1.0) -> npt.NDArray[np.float64]:
    return peak * np.sin(2 * pi * hz * np.arange(round(seconds * RATE)) / RATE)


def noise(seconds: float) -> npt.NDArray[np.float64]:
    return np.random.default_rng(5).uniform(-0.2, 0.2, round(seconds * RATE))


def dc_blocked(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    pole = (1 - tan(pi * DC_BLOCK_HZ / RATE)) / (1 + tan(pi * DC_BLOCK_HZ / RATE))
    blocked: npt.NDArray[Any] = lfilter([(1 + pole) / 2, -(1 + pole) / 2], [1, -pole], x)
    return blocked


def notched(x: npt.NDArray[Any], notch: Notch) -> npt.NDArray[Any]:
    b, a = coefficients(notch)
    cut: npt.NDArray[Any] = lfilter(b, a, x)
    return cut


def coefficients(notch: Notch) -> tuple[list[float], list[float]]:
    """Return the notch as the textbook has it, by the bilinear transform."""
    depth, alpha, c = factor(-notch.db), tan(pi * notch.width / RATE), cos(2 * pi * notch.hz / RATE)
    return [1 + depth * alpha, -2 * c, 1 - depth * alpha], [1 + alpha, -2 * c, 1 - alpha]


def soft(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a signal with the fades that each track gets."""
    n = round(FADE_S * RATE)
    rising = (1 - np.cos(pi * np.arange(n) / n)) / 2
    return np.concatenate([x[:n] * rising, x[n:-n], x[-n:] * rising[::-1]])


@pytest.mark.parametrize("frames", [480, 64, 1000, 4800])
def test_tracks_of_a_group_are_at_their_samples_whatever_the_card_asks_for(frames: int) -> None:
    """Two tracks begin at one sample; polarity and levels count, and the delay of a channel."""
    channels = (Channel("a", cap_db=0), Channel("b", cap_db=0, delay_ms=12.5))
    mixed, first, second = mixer(*channels), noise(0.3), noise(0.2)[::-1]

    group = mixed.play([Track(first, ((0, 1.0), (1, -0.5))), Track(second, ((0, 0.25),))], 4321)
    out = played(mixed, 0.6, frames)

    expected = np.zeros((2, len(out)))
    expected[0, 4321 : 4321 + first.size] += soft(first)
    expected[0, 4321 : 4321 + second.size] += 0.25 * soft(second)
    expected[1, 4921 : 4921 + first.size] -= 0.5 * soft(first)
    assert (4321, 4321 + first.size) == (group.start, group.end)
    assert len(out) == mixed.position
    np.testing.assert_allclose(out.T, dc_blocked(expected), atol=2e-6)


def test_groups_one_after_the_other_leave_no_gap() -> None:
    """The second begins at the sample after the last one of the first."""
    mixed, y = mixer(n=1), noise(0.5)

    first = mixed.play([Track(y, ((0, 1.0),))], 1000)
    second = mixed.play([Track(y, ((0, 1.0),))], first.end)
    out = played(mixed, 1.2)

    expected = np.zeros(len(out))
    expected[1000:25_000] = expected[25_000:49_000] = soft(y)
    assert 25_000 == second.start
    np.testing.assert_allclose(out[:, 0], dc_blocked(expected), atol=2e-6)


def test_what_comes_too_late_begins_together_as_soon_as_it_can() -> None:
    """Its start says where, so that the next group can follow it."""
    mixed = mixer(n=2)
    played(mixed, 1)

    soonest = mixed.soonest
    group = mixed.play([Track(noise(0.1), ((0, 1.0),)), Track(noise(0.1), ((1, 1.0),))], 17)
    out = played(mixed, 0.2)

    assert soonest == group.start
    np.testing.assert_array_equal(out[:, 0], out[:, 1])
    assert soonest + 1 == RATE + np.flatnonzero(out[:, 0])[0]  # the fade begins at 0
    assert 0 <= soonest - RATE <= 2 * BLOCK_S * RATE


@pytest.mark.parametrize("notch", NOTCHES)
def test_a_notch_takes_away_what_it_says_and_nothing_far_from_it(notch: Notch) -> None:
    """The filter of the mixer is that of the textbook, which has the depth and width."""
    mixed, y = mixer(Channel("a", cap_db=0, notch=(notch,)), Channel("b", cap_db=0)), noise(2)
    mixed.play([Track(y, ((0, 1.0), (1, 1.0)))])
    out = played(mixed, 2)

    begun = round(2 * BLOCK_S * RATE) - 480
    expected = dc_blocked(notched(np.concatenate([np.zeros(begun), soft(y)]), notch))[: len(out)]
    np.testing.assert_allclose(out[:, 0], expected, atol=2e-6)
    _, response = freqz(*coefficients(notch), worN=[notch.hz, 1.0, 400.0], fs=RATE)
    db = 20 * np.log10(np.abs(response))
    assert pytest.approx(-notch.db, abs=0.01) == db[0]
    assert np.abs(db[1:]).max() < 0.2


def test_several_notches_of_a_channel_all_count() -> None:
    """A channel with fewer of them than another is left as it is."""
    channels = (Channel("a", cap_db=0, notch=NOTCHES[:2]), Channel("b", cap_db=0))
    filters, x = Filters(channels, RATE, 480), np.tile(noise(0.01), (2, 1))

    both = x.copy()
    filters.run(both)

    np.testing.assert_allclose(both[0], notched(notched(dc_blocked(x[0]), NOTCHES[0]), NOTCHES[1]))
    np.testing.assert_allclose(both[1], dc_blocked(x[1]), atol=1e-12)


HOSTILE: dict[str, npt.NDArray[Any]] = {
    "square": np.sign(sine(40, 1)),
    "far too loud": 1e6 * sine(70, 1),
    "one sample": np.where(np.arange(RATE) == 30_000, 100.0, 0.0),
    "direct current": np.ones(RATE),
    "no numbers": np.where(np.arange(RATE) % 7 == 0, np.nan, np.inf),
    "largest": np.full(RATE, np.finfo(np.float32).max),
    "sine": sine(24, 1),
}


@pytest.mark.parametrize("y", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("cap_db", [0.0, -12.0, -40.0])
def test_no_sample_is_above_the_cap_whatever_comes(y: npt.NDArray[Any], cap_db: float) -> None:
    """The sum of sixteen tracks at a gain of 24 dB in a channel with a boost, too."""
    channel = Channel("a", cap_db=cap_db, notch=(Notch(40, -6, 30),))
    mixed = mixer(channel)
    for start in range(16):
        mixed.play([Track(y, ((0, factor(24)),))], 100 * start)

    out = played(mixed, 1.5)

    assert np.isfinite(out).all()
    assert np.abs(out).max() <= np.float32(channel.cap)


@given(st.lists(st.floats(width=32), min_size=2, max_size=5), st.integers(1, 2000))
def test_the_cap_holds_for_any_samples(values: list[float], length: int) -> None:
    """Also for numbers that are none, and the end is silence again."""
    mixed = mixer(Channel("a", cap_db=-6))
    with np.errstate(over="ignore", invalid="ignore"):
        mixed.play([Track(np.repeat(values, length), ((0, 15.0),))])
        out = played(mixed, 0.3)

    assert np.isfinite(out).all()
    assert np.abs(out).max() <= np.float32(factor(-6))


def test_a_gain_that_is_no_number_is_silence() -> None:
    """It does not reach the filters, which would never forget it."""
    mixed = mixer(n=2)
    mixed.play([Track(sine(50, 0.2), ((0, float("nan")),))])
    silent = played(mixed, 0.4)
    mixed.play([Track(sine(50, 0.2), ((0, 0.5),))])

    assert 0 == np.abs(silent).max()
    assert np.abs(played(mixed, 0.2)).max() > 0.4


def test_the_limiter_bends_nothing_that_is_below_the_cap_and_comes_back() -> None:
    """A loud second lowers the gain smoothly, without a step; then it is as before."""
    mixed = mixer(Channel("a", cap_db=-20))
    mixed.play(
        [Track(np.concatenate([sine(50, 1, 0.05), sine(50, 1), sine(50, 2, 0.05)]), ((0, 1),))]
    )
    out = played(mixed, 4)[:, 0]

    ends = [np.abs(out[RATE // 2 : 9 * RATE // 10]).max(), np.abs(out[3 * RATE :]).max()]
    assert [pytest.approx(0.05, rel=0.01)] * 2 == ends
    assert pytest.approx(0.1, rel=0.02) == np.abs(out[RATE : 2 * RATE]).max()
    steepest = 0.1 * 2 * pi * 50 / RATE  # of a sine at the cap
    assert np.abs(np.diff(out)).max() < 1.6 * steepest


def test_direct_current_goes_away() -> None:
    """A transducer that is pushed and held burns."""
    mixed = mixer(Channel("a", cap_db=-6))
    mixed.play([Track(np.ones(3 * RATE), ((0, 1.0),))])
    out = played(mixed, 3)[:, 0]

    assert np.abs(out[RATE : 3 * RATE - 2000]).max() < 1e-3


def test_beginning_and_end_are_soft() -> None:
    """A track that begins at full scale makes no larger step than its sine does."""
    mixed = mixer(n=1)
    mixed.play([Track(np.cos(2 * pi * 30 * np.arange(RATE) / RATE), ((0, 0.9),))])
    out = played(mixed, 1.5)[:, 0]

    assert np.abs(np.diff(out)).max() < 1.2 * 0.9 * 2 * pi * 30 / RATE
    assert np.abs(out[-RATE // 10 :]).max() < 0.05


@pytest.mark.parametrize("frames", [480, 100, 2048])
def test_a_stop_is_silent_within_a_block_and_stays_so(frames: int) -> None:
    """What was playing, what was to come and what comes meanwhile is never played."""
    mixed = mixer(n=2)
    mixed.play([Track(sine(60, 9, 0.5), ((0, 1.0),))])
    mixed.play([Track(sine(60, 9, 0.5), ((1, 1.0),))], RATE)
    assert np.abs(played(mixed, 0.5, frames)).max() > 0.4

    mixed.stopped = True
    stopping = played(mixed, 0.1, frames)[:, 0]
    mixed.play([Track(sine(60, 1), ((0, 1.0),))])
    silent = played(mixed, 2, frames)

    assert 0 == np.abs(stopping[round(BLOCK_S * RATE) :]).max()
    assert (
        np.abs(np.diff(stopping)).max() < 3 * 0.5 * 2 * pi * 60 / RATE + 0.5 / (BLOCK_S * RATE) * 3
    )
    assert 0 == np.abs(silent).max()
    assert [0.0, 0.0] == mixed.levels()


def test_what_comes_after_a_release_is_played_and_nothing_else() -> None:
    """From its beginning, with nothing left of before."""
    mixed = mixer(n=1)
    mixed.play([Track(sine(60, 9, 0.5), ((0, 1.0),))])
    played(mixed, 0.5)
    mixed.stopped = True
    played(mixed, 0.5)

    mixed.stopped = False
    assert 0 == np.abs(played(mixed, 0.5)).max()
    y = noise(0.2)
    group = mixed.play([Track(y, ((0, 1.0),))], mixed.position + 1000)
    out = played(mixed, 0.3)[:, 0]

    expected = np.zeros(len(out))
    expected[1000 : 1000 + y.size] = soft(y)
    assert mixed.position - len(out) + 1000 == group.start
    np.testing.assert_allclose(out, dc_blocked(expected), atol=2e-6)


def test_a_stop_that_is_released_at_once_still_ends_what_played() -> None:
    """The fade goes to its end, so that there is no step."""
    mixed = mixer(n=1)
    mixed.play([Track(sine(60, 9, 0.5), ((0, 1.0),))])
    played(mixed, 0.5)
    mixed.stopped = True
    block = np.zeros((100, 1), np.float32)
    mixed.fill(block)
    mixed.stopped = False

    assert 0 == np.abs(played(mixed, 1)[480:]).max()


def test_at_rest_it_holds_exact_silence_and_no_tiny_numbers() -> None:
    """Filters that ring down for ever would take ten times as long for numbers near zero."""
    mixed = mixer(Channel("a", notch=(NOTCHES[0],)))
    mixed.play([Track(sine(24, 1), ((0, 1.0),))])
    out = played(mixed, 5)[:, 0]

    assert np.abs(out[RATE // 2 : RATE]).max() > 0.02
    assert 0 == np.abs(out[4 * RATE :]).max()
    assert [0.0] == mixed.levels()


def test_a_channel_that_rests_while_others_play_holds_no_tiny_numbers() -> None:
    """Its peak is 0, and its filters hold exact silence."""
    mixed = mixer(Channel("a", notch=(NOTCHES[0],)), Channel("b"))
    mixed.play([Track(sine(24, 0.1), ((0, 1.0),)), Track(sine(24, 15), ((1, 1.0),))])
    played(mixed, 14)

    assert 0.0 == mixed.levels()[0] < mixed.levels()[1]
    states = [stage.last for stage in mixed._filters._stages]
    assert [0, 0] == [abs(one[0, 0]) for one in states]


def test_levels_are_those_of_each_channel() -> None:
    """They show which dish moves, also one that is pushed down only."""
    mixed = mixer(n=2)
    pulse = np.where(np.arange(RATE) % 960 < 96, -0.5, 0.0)
    mixed.play([Track(sine(50, 1, 0.5), ((0, 1.0),)), Track(pulse, ((1, 0.5),))])
    played(mixed, 0.9)

    assert [pytest.approx(0.5, rel=0.1), pytest.approx(0.22, rel=0.1)] == mixed.levels()
