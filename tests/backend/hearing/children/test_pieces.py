"""Where a recording is cut, and which parts of it the model is asked about; without the model."""

from array import array
from typing import Any

import numpy as np
import pytest

from backend.hearing.children.moonshine_child import PIECE_S, pieces

RATE = 16_000


def speechlike(duration_s: float, level: float = 0.2) -> "np.ndarray[Any, Any]":
    """Return syllables: a tone that swells four times a second."""
    t = np.arange(round(duration_s * RATE)) / RATE
    y: np.ndarray[Any, Any] = np.sin(2 * np.pi * 200 * t) * np.clip(np.sin(2 * np.pi * 4 * t), 0, 1)
    return level * y


def silence(duration_s: float) -> "np.ndarray[Any, Any]":
    return np.zeros(round(duration_s * RATE))


def lengths(*parts: "np.ndarray[Any, Any]") -> list[float]:
    """Return the seconds of each piece of `parts`, one after another."""
    y = np.round(np.concatenate(parts) * 32_767).astype("<i2")
    return [len(piece) / RATE for piece in pieces(array("h", y.tobytes()), RATE)]


def noise(level: float) -> "np.ndarray[Any, Any]":
    return np.random.default_rng(14).normal(size=3 * RATE) * level


@pytest.mark.parametrize(
    "y",
    [
        silence(3),
        noise(0.0005),
        noise(0.01),
        noise(0.2),
        speechlike(3, level=0.003),
        np.full(RATE, 0.4),
        np.concatenate([silence(1), speechlike(0.05), silence(1)]),
        silence(0),
    ],
    ids=["silence", "faint noise", "noise", "loud noise", "far away", "DC", "click", "nothing"],
)
def test_without_speech_nothing_is_asked(y: "np.ndarray[Any, Any]") -> None:
    """From silence and steady noise the model would make words."""
    assert [] == lengths(np.clip(y, -1, 1))


def test_the_silence_around_speech_is_left_out() -> None:
    """A margin stays, so that no consonant is lost."""
    (length_s,) = lengths(silence(4), speechlike(2), silence(3))

    assert 2.1 < length_s < 2.5


def test_speech_in_noise_is_asked_about() -> None:
    """A hall hums."""
    y = speechlike(3) + noise(0.01)

    assert [3.0] == pytest.approx(lengths(y), abs=0.2)


def test_a_long_recording_is_cut_at_its_pauses() -> None:
    """Sentences of 5 s with pauses between them stay whole."""
    sentence = [speechlike(5), silence(0.6)]

    found = lengths(*sentence * 4)

    assert 4 == len(found)
    assert [5.3] * 4 == pytest.approx(found, abs=0.4)


def test_no_piece_is_longer_than_the_model_can_take() -> None:
    """Speech without a pause is cut as well, and nothing of it is lost."""
    found = lengths(speechlike(60))

    assert max(found) <= PIECE_S[1]
    assert 60 == pytest.approx(sum(found), abs=0.5)
