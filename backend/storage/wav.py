"""What a subscriber wants to know of a finished WAV: its length, how loud it is.

Reads the whole file in pieces, a millisecond or so for some seconds of sound: call it on a thread.
Sums of squares are taken in whole numbers, exactly, and not as a product of vectors: that is BLAS,
whose threads keep every core busy for milliseconds after each call.
"""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from backend.storage.riff import WavError, read_header

CHUNK_SAMPLES = 65_536
FULL_SCALE = 32_768


@dataclass(frozen=True, slots=True)
class WavInfo:
    """Figures of a 16-bit WAV; `peak` and `rms` over all channels, full scale being 1."""

    frames: int
    sample_rate: int
    peak: float
    rms: float

    @property
    def duration_ms(self) -> int:
        """Its length in whole milliseconds."""
        return round(self.frames * 1000 / self.sample_rate)


def read_wavinfo(path: Path) -> WavInfo:
    """Read the figures of the 16-bit PCM file at `path`.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no 16-bit WAV, or ends before its header says; the message says which.
    """
    import numpy as np  # here, so that no start waits for it

    peak = squares = 0
    with path.open("rb") as file:
        try:
            header = read_header(file, path.stat().st_size)
        except WavError as error:
            raise ValueError(f"{path.name} is no WAV: {error}") from error
        if header.subtype != "PCM_16":
            raise ValueError(f"{path.name} has {header.bits} bits, {header.subtype}; 16 expected")
        file.seek(header.data_offset)
        samples = header.frames * header.channels
        for start in range(0, samples, CHUNK_SAMPLES):
            n_samples = min(CHUNK_SAMPLES, samples - start)
            values = np.fromfile(file, "<i2", n_samples).astype(np.int64)
            if len(values) < n_samples:
                raise ValueError(f"{path.name} changed while it was read")
            peak = max(peak, int(values.max()), -int(values.min()))
            squares += int(np.square(values).sum())
    rms = sqrt(squares / samples) / FULL_SCALE if samples else 0.0
    return WavInfo(header.frames, header.rate, round(peak / FULL_SCALE, 6), round(rms, 6))
