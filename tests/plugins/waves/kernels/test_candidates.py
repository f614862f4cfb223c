"""Troughs and their order: the parts of pYIN that rare ties decide."""

import librosa
import numpy as np
import pytest

from plugins.waves.kernels import candidates


@pytest.mark.parametrize("levels", [2, 3, 6])
@pytest.mark.parametrize("seed", range(40))
def test_troughs_with_ties_are_librosas(seed: int, levels: int) -> None:
    """A trough lies below its left neighbour and not above its right one, plateaus included."""
    x = np.random.default_rng(seed).integers(0, levels, 60) / levels
    expected = librosa.util.localmin(x)
    expected[0] = x[0] < x[1]
    troughs = np.empty(60, dtype=np.int64)

    count = candidates.trough_prior(
        x, np.array([0.0, 2.0]), np.ones((61, 60)), troughs, np.empty((60, 1))
    )

    np.testing.assert_array_equal(troughs[:count], np.flatnonzero(expected))
