"""Turn waves into the mono 16-bit WAV files that are published."""

from math import sqrt

import numpy as np
import numpy.typing as npt

from backend.storage import riff

FULL_SCALE = 32_768

Pcm16 = npt.NDArray[np.int16]


def to_pcm16(wave: npt.NDArray[np.floating]) -> tuple[Pcm16, int]:
    """Return `wave` as 16-bit integers, and how many samples had to be clipped.

    The integers are those `soundfile.write(..., subtype="PCM_16")` writes. python-soundfile turns
    libsndfile's clipping on, and that path scales to 32 bits, rounds half to even there and keeps
    the upper 16 bits: floor(x * 32768), not round(x * 32767) [1]_. Full scale +1 becomes 32767 and
    counts as clipped.

    Parameters
    ----------
    wave : np.ndarray [shape=(n,)], float
        Full scale +-1, finite.

    References
    ----------
    .. [1] libsndfile 1.2.2, src/pcm.c, `f2les_clip_array` and `d2les_clip_array`.
    """
    upper = np.rint(np.asarray(wave, dtype=np.float64) * 2.0**31) // 2**16
    clipped = np.count_nonzero((upper > 32767) | (upper < -32768))
    return np.clip(upper, -32768, 32767).astype(np.int16), int(clipped)


def encode(samples: Pcm16, rate: int) -> bytes:
    """Return `samples` as the contents of a mono 16-bit WAV file."""
    data = np.ascontiguousarray(samples, "<i2").data
    return b"".join((riff.pcm16_header(len(samples), rate), data))


def decode(contents: bytes) -> Pcm16:
    """Return the samples of a mono 16-bit WAV file that `encode` made."""
    count = (len(contents) - riff.PCM16_HEADER_BYTES) // 2
    return np.frombuffer(contents, "<i2", count, riff.PCM16_HEADER_BYTES)


def level(samples: Pcm16) -> tuple[float, float]:
    """Return peak and root mean square, full scale being 1.

    Squares are summed as whole numbers, exactly, and not as a product of vectors: that is BLAS,
    whose threads keep every core busy for milliseconds after each call.
    """
    if not len(samples):
        return 0.0, 0.0
    peak = max(int(samples.max()), -int(samples.min()))
    squares = int(np.square(samples, dtype=np.int32).sum(dtype=np.int64))
    return round(peak / FULL_SCALE, 6), round(sqrt(squares / len(samples)) / FULL_SCALE, 6)
