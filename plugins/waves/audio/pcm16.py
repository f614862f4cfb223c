"""Write and verify the mono 16-bit WAV files that waves are published as."""

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.storage import riff
from plugins.waves.errors import PublishError

_WRITE_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)


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


def write_pcm16(path: Path, samples: Pcm16, rate: int) -> str:
    """Write a new mono 16-bit WAV file, flush it to the disk and return its SHA-256.

    Not soundfile: on a full disk it leaves a file that opens and is too short.

    Raises
    ------
    OSError
        If the file exists, or not every byte could be written.
    """
    data = samples.astype("<i2", copy=False).tobytes()
    contents = riff.pcm16_header(len(samples), rate) + data
    write_new(path, contents)
    return hashlib.sha256(contents).hexdigest()


def write_new(path: Path, contents: bytes) -> None:
    """Write all of `contents` to a new file and wait until it is on the disk."""
    descriptor = os.open(path, _WRITE_FLAGS, 0o644)
    try:
        rest = memoryview(contents)
        while rest:
            written = os.write(descriptor, rest)
            if written == 0:
                raise OSError(errno.EIO, "write() took no byte", str(path))
            rest = rest[written:]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify(path: Path, frames: int, rate: int) -> str:
    """Check that `path` holds a canonical mono 16-bit WAV of `frames`, and return its SHA-256.

    Raises
    ------
    PublishError
        If size or header are not what they must be.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        contents = stream.read()
    size = riff.PCM16_HEADER_BYTES + 2 * frames
    if len(contents) != size:
        raise PublishError(f"{path.name}: {len(contents)} bytes on the disk, {size} expected")
    if contents[: riff.PCM16_HEADER_BYTES] != riff.pcm16_header(frames, rate):
        raise PublishError(
            f"{path.name}: wrong header on the disk: {contents[: riff.PCM16_HEADER_BYTES].hex()}"
        )
    return hashlib.sha256(contents).hexdigest()
