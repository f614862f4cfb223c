"""Turn waves into the mono 16-bit WAV files that are published."""

import numpy as np
import numpy.typing as npt

from backend.storage import riff

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
