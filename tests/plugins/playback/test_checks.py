"""Test signals come out of their own channel, begin quietly, stay below the cap and end softly."""

from functools import cache
from io import BytesIO

import numpy as np
import pytest
import soundfile
import soxr

from backend.plugins import spoken
from plugins.playback.checks import SoundCheck
from plugins.playback.dishes import Channel
from plugins.playback.kinds import QUIET_DB, Signal
from plugins.playback.mixer import Mixer
from tests.plugins.playback.soundcheck.transducer import Array

RATE = 8000
CHANNELS = (
    Channel("one", cap_db=-12),
    Channel("two", cap_db=-30, polarity=-1),
    Channel("three", cap_db=0, delay_ms=400),
)


@cache
def speech(number: int) -> bytes:
    """Return a number as the embedded voice speaks it."""
    return spoken(str(number))


def start(check: SoundCheck, channel: int, signal: Signal, level_db: float) -> tuple[float, float]:
    """Start a signal; return its level and its length."""
    spoken_number = speech(channel) if signal is Signal.NUMBER else b""
    started = check.start(channel, signal, level_db, spoken_number)
    assert (channel, signal, CHANNELS[channel - 1].name) == (
        started.channel,
        started.signal,
        started.name,
    )
    return started.level_db, started.duration_s


def play(mixer: Mixer, seconds: float) -> Array:
    """Return what the mixer plays next, a row for each channel."""
    out = np.zeros((round(seconds * RATE), len(CHANNELS)), np.float32)
    mixer.fill(out)
    return out.T.astype(np.float64)


@pytest.mark.parametrize("signal", Signal)
def test_a_signal_is_on_its_channel_only(signal: Signal) -> None:
    """It has the level that was asked for, and is over when it says so."""
    mixer = Mixer(CHANNELS, RATE)
    check = SoundCheck(mixer)

    level_db, duration_s = start(check, 1, signal, QUIET_DB)
    out = play(mixer, duration_s + 0.5)

    assert level_db == QUIET_DB
    assert 20 * np.log10(np.abs(out[0]).max()) == pytest.approx(QUIET_DB, abs=0.3)
    assert not out[1:].any()
    assert np.abs(out[0, -RATE // 4 :]).max() < 1e-4


@pytest.mark.parametrize("level_db", [-20, 0])
@pytest.mark.parametrize("signal", Signal)
def test_no_level_is_over_the_cap(signal: Signal, level_db: float) -> None:
    """What is asked for is lowered, before the limiter has anything to do."""
    mixer = Mixer(CHANNELS, RATE)

    told_db, duration_s = start(SoundCheck(mixer), 2, signal, level_db)

    peak = np.abs(play(mixer, duration_s)[1]).max()
    assert told_db == -30
    assert peak <= CHANNELS[1].cap
    assert peak > 0.9 * CHANNELS[1].cap


def test_the_polarity_is_that_of_the_channel() -> None:
    """A buzz on a turned channel is the other one's negative."""
    mixer = Mixer(CHANNELS, RATE)
    check = SoundCheck(mixer)
    start(check, 1, Signal.BUZZ, -40)
    first = play(mixer, 6)[0]

    start(check, 2, Signal.BUZZ, -40)

    second = play(mixer, 6)[1]
    assert np.corrcoef(first, second)[0, 1] < -0.99


@pytest.mark.parametrize("index", [0, 1])
def test_a_channel_says_its_number(index: int) -> None:
    """What is heard is the speech itself, at the rate of the mixer, as long as it is."""
    mixer = Mixer(CHANNELS, RATE)
    wav, sr = soundfile.read(BytesIO(speech(index + 1)))

    _, duration_s = start(SoundCheck(mixer), index + 1, Signal.NUMBER, -30)

    y = play(mixer, duration_s + 0.1)[index]
    assert duration_s == pytest.approx(len(wav) / sr, abs=0.001)
    expected = soxr.resample(wav, sr, RATE) * CHANNELS[index].polarity
    likeness = np.correlate(y, expected, "full").max()
    assert likeness > 0.95 * np.linalg.norm(y) * np.linalg.norm(expected)


@pytest.mark.parametrize("index", [0, 2])
def test_a_stop_is_soft_and_soon(index: int) -> None:
    """Silent within 100 ms, also on a channel with a delay, and without a step."""
    mixer = Mixer(CHANNELS, RATE)
    check = SoundCheck(mixer)
    start(check, index + 1, Signal.BUZZ, -20)
    before = play(mixer, 1.0)[index]

    check.stop()

    after = play(mixer, 1.0)[index]
    assert np.abs(before[-RATE // 10 :]).max() > 0.09
    assert np.abs(after[RATE // 10 :]).max() < 0.002
    usual = np.abs(np.diff(before)).max()
    assert np.abs(np.diff(np.concatenate((before[-100:], after)))).max() < 1.5 * usual


def test_a_signal_that_has_not_begun_is_stopped() -> None:
    """Before its first block is mixed; nothing but its first instant is heard."""
    mixer = Mixer(CHANNELS, RATE)
    check = SoundCheck(mixer)
    start(check, 1, Signal.BUZZ, -20)

    check.stop()

    assert np.abs(play(mixer, 2)[0, RATE // 5 :]).max() < 0.002


def test_a_signal_replaces_the_one_before() -> None:
    """Of two that are started, the second alone goes on."""
    mixer = Mixer(CHANNELS, RATE)
    check = SoundCheck(mixer)
    start(check, 1, Signal.SWEEP, -20)
    play(mixer, 1)

    start(check, 2, Signal.BUZZ, -40)

    play(mixer, 0.2)
    out = play(mixer, 1)
    assert np.abs(out[0]).max() < 0.002
    assert np.abs(out[1]).max() > 0.005
