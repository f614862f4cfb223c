"""Resample a recording, whole or block by block, as librosa.load does."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

QUALITY = "HQ"
"""soxr's quality that librosa calls soxr_hq."""

Samples = npt.NDArray[np.float32]


class Resampler:
    """Collects `n_orig` samples block by block at another rate; keeps the result only."""

    def __init__(self, n_orig: int, orig_sr: int, target_sr: int) -> None:
        # The length that librosa gives the result, rounding error of the ratio included.
        size = n_orig if orig_sr == target_sr else math.ceil(n_orig * (float(target_sr) / orig_sr))
        self._result = np.zeros(size, dtype=np.float32)
        self._filled = 0
        self._stream = None if orig_sr == target_sr else _stream(orig_sr, target_sr)

    def append(self, block: Samples) -> None:
        """Take the next samples [shape=(n,)]."""
        self._keep(block if self._stream is None else self._stream.resample_chunk(block))

    def finish(self) -> Samples:
        """Return the whole result, zero-padded or cut to its length."""
        if self._stream is not None:
            self._keep(self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        return self._result

    def _keep(self, block: Samples) -> None:
        taken = block[: self._result.size - self._filled]
        self._result[self._filled : self._filled + taken.size] = taken
        self._filled += taken.size


def _stream(orig_sr: int, target_sr: int) -> Any:
    import soxr  # the server reads names from modules that import this one, and never resamples

    return soxr.ResampleStream(orig_sr, target_sr, 1, dtype="float32", quality=QUALITY)


def resample(y: Samples, orig_sr: int, target_sr: int) -> Samples:
    """Return a mono signal [shape=(n,)] at another rate: ceil(n * target_sr / orig_sr) samples."""
    if orig_sr == target_sr:
        return y
    resampler = Resampler(y.size, orig_sr, target_sr)
    resampler.append(y)
    return resampler.finish()
