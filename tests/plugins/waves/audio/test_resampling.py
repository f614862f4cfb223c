"""Resampling gives what librosa gives, at once or block by block."""

import numpy as np
import pytest

from plugins.waves.audio.resampling import Resampler, resample
from tests import oracle

SR = 8000


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("n", [1, 2, 127, 2_205, 44_100, 44_101])
def test_resampling_is_that_of_librosa(rate: int, n: int) -> None:
    """Resampling gives librosa's samples and librosa's length, bit for bit."""
    y = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)

    resampled = resample(y, rate, SR)

    np.testing.assert_array_equal(resampled, oracle.resample(y, rate))
    assert resampled.dtype == np.float32


@pytest.mark.parametrize("block", [1_000, 65_536])
def test_blocks_leave_no_trace(block: int) -> None:
    """A signal that comes in blocks is resampled as if it had come at once."""
    y = np.random.default_rng(1).uniform(-1, 1, 100_001).astype(np.float32)
    resampler = Resampler(y.size, 22_050, SR)

    for start in range(0, y.size, block):
        resampler.append(y[start : start + block])

    np.testing.assert_array_equal(resampler.finish(), resample(y, 22_050, SR))
