"""The smallest and the largest sample of each part of a recording, for a picture of it."""

import os
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import Field

from backend.http.models import CamelCase
from backend.storage import WavError, read_header, riff

if TYPE_CHECKING:  # the server starts without them
    import numpy as np
    import numpy.typing as npt

MAX_PEAKS = 4000
BLOCK_FRAMES = 262_144
DECIMALS = 3


class Peaks(CamelCase):
    """The extremes of each part of a recording, over all its channels, full scale being 1."""

    duration_s: float
    sample_rate: int
    min: list[float] = Field(description="The smallest sample of each part.")
    max: list[float] = Field(description="The largest one.")


def peaks_of(stream: BinaryIO, count: int) -> Peaks:
    """Return the peaks of `count` equal parts of a WAV, or of as many as it has frames.

    Raises WavError if it is not a whole WAV of a kind we read.
    """
    import numpy as np

    header = read_header(stream, os.fstat(stream.fileno()).st_size)
    count = min(count, header.frames)
    edges = np.arange(count + 1) * header.frames // max(1, count)
    parts_at_once = max(1, count * BLOCK_FRAMES // max(1, header.frames))
    smallest, largest = np.empty(count), np.empty(count)
    stream.seek(header.data_offset)
    for start in range(0, count, parts_at_once):
        parts = slice(start, min(start + parts_at_once, count))
        first, last = int(edges[parts.start]), int(edges[parts.stop])
        y = _samples(stream, header, last - first)
        smallest[parts] = np.minimum.reduceat(y.min(axis=1), edges[parts] - first)
        largest[parts] = np.maximum.reduceat(y.max(axis=1), edges[parts] - first)
    return Peaks(
        duration_s=round(header.duration_s, DECIMALS),
        sample_rate=header.rate,
        min=_rounded(smallest),
        max=_rounded(largest),
    )


def _samples(stream: BinaryIO, header: riff.Header, n_frames: int) -> "npt.NDArray[np.float32]":
    """Return the next frames as samples [shape=(n_frames, n_channels)]."""
    y = riff.samples(stream.read(n_frames * header.channels * header.bits // 8), header)
    if len(y) < n_frames:
        raise WavError("truncated", f"{len(y)} of {n_frames} frames could be read")
    return y


def _rounded(values: "npt.NDArray[Any]") -> list[float]:
    import numpy as np

    rounded: list[float] = np.nan_to_num(values).round(DECIMALS).tolist()
    return rounded
