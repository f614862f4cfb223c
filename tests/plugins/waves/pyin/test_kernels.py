"""Troughs and their order: the parts of pYIN that rare ties decide."""

import librosa
import numpy as np
import pytest

from plugins.waves.pyin.kernels import candidates
from tests import stored


@pytest.mark.parametrize("levels", [2, 3, 6])
def test_troughs_with_ties_are_librosas(levels: int) -> None:
    """A trough lies below its left neighbour and not above its right one, plateaus included."""
    signals = np.random.default_rng(levels).integers(0, levels, (40, 60)) / levels
    expected = stored.answer("troughs", lambda: librosa.util.localmin(signals, axis=1), signals)

    for x, theirs in zip(signals, expected, strict=True):
        troughs = np.empty(60, dtype=np.int64)
        count = candidates.trough_prior(
            x, np.array([0.0, 2.0]), np.ones((61, 60)), troughs, np.empty((60, 1))
        )

        assert (x[0] < x[1]) == (0 in troughs[:count]), "the first counts as one, unlike librosa's"
        np.testing.assert_array_equal(
            [at for at in troughs[:count] if at], np.flatnonzero(theirs[1:]) + 1
        )


def test_of_two_candidates_in_a_bin_the_longer_period_stays() -> None:
    """Two troughs whose pitch falls into one bin are one candidate, as in librosa."""
    x = np.array([1.0, 0.5, 1.0, 0.2, 1.0, 1.0])
    pitch = np.array([100.0, 8000.0, 70.0, 12.0, 24.0, 1.0])  # lags from 100, bins of a semitone
    bins, values = np.zeros(8, dtype=np.int32), np.zeros(8)
    counts = np.zeros(1, dtype=np.int32)

    total = candidates.place_candidates(
        x, np.array([0.3, 0.6]), np.array([1, 3]), np.array([0.0, 1.0]), np.zeros(2), 0.0,
        pitch, bins, values, counts, 0,
    )  # fmt: skip

    assert (counts[0], values[0], total) == (1, 0.6, 0.6)
