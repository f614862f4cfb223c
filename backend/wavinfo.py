"""What a subscriber wants to know of a finished WAV: its length, how loud it is.

Reads the whole file in pieces, a millisecond or so for some seconds of sound: call it on a thread.
Sums of squares are taken in whole numbers, exactly, and not as a product of vectors: that is BLAS,
whose threads keep every core busy for milliseconds after each call.
"""

import wave
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

CHUNK_FRAMES = 65_536
FULL_SCALE = 32_768
SAMPLE_BYTES = 2


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
    peak = squares = samples = 0
    try:
        with wave.open(str(path), "rb") as file:
            channels, rate, frames = file.getnchannels(), file.getframerate(), file.getnframes()
            if file.getsampwidth() != SAMPLE_BYTES or rate <= 0:
                raise ValueError(f"{8 * file.getsampwidth()} bits at {rate} Hz; 16 bits expected")
            while block := file.readframes(CHUNK_FRAMES):
                values = np.frombuffer(block, "<i2").astype(np.int64)
                peak = max(peak, int(values.max()), -int(values.min()))
                squares += int(np.square(values).sum())
                samples += values.size
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path.name} is no WAV: {error}") from error
    if samples != frames * channels:
        raise ValueError(f"{path.name} has {samples} samples; its header says {frames * channels}")
    rms = sqrt(squares / samples) / FULL_SCALE if samples else 0.0
    return WavInfo(frames, rate, round(peak / FULL_SCALE, 6), round(rms, 6))
