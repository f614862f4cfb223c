"""Read a WAV file whose contents are not trusted.

A file is opened once and read through that one descriptor, so a file that is replaced meanwhile
cannot switch, and one that is written to meanwhile is refused. Our header reader alone decides what
the file is; libsndfile gets samples without a header.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile  # noqa: F401 - loaded here, since `riff` does so at the first sample

from backend.storage import riff
from plugins.waves.audio.resampling import Resampler
from plugins.waves.errors import AudioError, describe, shown

MAX_DURATION_S = 600.0
MAX_BYTES = 256 * 2**20
MAX_PEAK = 8.0
"""Full scales. Mixes in float may overshoot a little; more is no sound but a wrong file."""

RETRY_PAUSE_S = 0.2
"""A file whose header promises more than is there may still be being written: look once more."""

_RETRIED = ("truncated", "changed")
_BLOCK_FRAMES = 65_536
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer would block open() for ever
    | getattr(os, "O_NOCTTY", 0)
)
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """A recording, mixed down to one channel."""

    samples: Samples = field(repr=False)
    rate: int
    """Sampling rate of `samples` in Hertz."""
    warnings: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


def read(
    path: str | os.PathLike[str],
    *,
    max_duration_s: float = MAX_DURATION_S,
    max_bytes: int = MAX_BYTES,
    rate: int | None = None,
) -> Wave:
    """Read a WAV file as the mean of its channels: float32, finite, within +-`MAX_PEAK`.

    With `rate`, in Hertz, it is resampled while it is read: memory holds the result only.

    A file that is shorter than its header says, or that changes while it is read, is read once
    more after `RETRY_PAUSE_S`.

    Raises AudioError if the file is not a whole, finite recording of a supported kind within
    the limits.
    """
    try:
        return _read_once(path, max_duration_s, max_bytes, rate)
    except AudioError as error:
        if error.reason not in _RETRIED:
            raise
    time.sleep(RETRY_PAUSE_S)
    return _read_once(path, max_duration_s, max_bytes, rate)


def contents(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return a file as it is; raises AudioError if it is too large, or changes meanwhile."""
    with _opened(path) as (stream, before):
        try:
            data = stream.read(max_bytes + 1)
        except OSError as error:
            raise AudioError(
                "unreadable", f"cannot read {shown(path)}: {describe(error)}"
            ) from error
        after = os.fstat(stream.fileno())
    if len(data) > max_bytes:
        raise AudioError("too_large", f"file of {before.st_size} bytes; limit {max_bytes}")
    if (len(data), before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise AudioError("changed", "file changed while it was read")
    return data


def check_source(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> Path:
    """Return the real path of `path`, which must lie below `root` with every link followed.

    Raises AudioError if it does not, or if there is no such file.
    """
    try:
        real = Path(path).resolve(strict=True)
        real_root = Path(root).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise _cannot_open(path, error) from error
    if real_root not in real.parents:
        raise AudioError("outside", f"{shown(path)} leads out of {shown(root)}")
    return real


def _read_once(
    path: str | os.PathLike[str], max_duration_s: float, max_bytes: int, rate: int | None
) -> Wave:
    with _opened(path) as (stream, before):
        if before.st_size > max_bytes:
            raise AudioError("too_large", f"file of {before.st_size} bytes; limit {max_bytes}")
        try:
            header = _header(stream, before.st_size)
            if header.duration_s > max_duration_s:
                raise AudioError(
                    "too_long", f"{header.duration_s:.1f} s of audio; limit {max_duration_s:g} s"
                )
            samples = _decode(stream, header, rate or header.rate)
        except OSError as error:
            raise AudioError(
                "unreadable", f"cannot read {shown(path)}: {describe(error)}"
            ) from error
        after = os.fstat(stream.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise AudioError(
            "changed",
            f"file changed while it was read: {before.st_size} bytes, then {after.st_size}",
        )
    return Wave(samples, rate or header.rate, header.warnings)


def _header(stream: BinaryIO, size: int) -> riff.Header:
    try:
        header = riff.read_header(stream, size)
    except riff.WavError as error:
        raise AudioError(error.reason, str(error)) from error
    if header.frames == 0:
        raise AudioError("empty", f"no audio: 0 whole frames in {header.data_size} bytes")
    return header


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a regular file for reading, without following a link in its last part."""
    try:
        _check_regular(path, os.lstat(path))  # a device is not even opened: that may act on it
        descriptor = os.open(path, _READ_FLAGS)
    except (OSError, ValueError) as error:
        raise _cannot_open(path, error) from error
    try:
        status = os.fstat(descriptor)
        _check_regular(path, status)
        stream = os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    with stream:
        yield stream, status


def _check_regular(path: str | os.PathLike[str], status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kinds = {
            stat.S_IFDIR: "directory",
            stat.S_IFIFO: "FIFO",
            stat.S_IFLNK: "symbolic link",
            stat.S_IFSOCK: "socket",
            stat.S_IFCHR: "device",
            stat.S_IFBLK: "device",
        }
        kind = kinds.get(stat.S_IFMT(status.st_mode), "special file")
        raise AudioError("not_a_file", f"{shown(path)} is a {kind}, not a regular file")


def _cannot_open(path: str | os.PathLike[str], error: Exception) -> AudioError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return AudioError("missing", f"{shown(path)} does not exist")
    words = describe(error) if isinstance(error, OSError) else str(error)
    return AudioError("unreadable", f"cannot open {shown(path)}: {words}")


def _decode(stream: BinaryIO, header: riff.Header, rate: int) -> Samples:
    """Return the mean of the channels at `rate`, made block by block."""
    frame_bytes = header.channels * header.bits // 8
    resampler = Resampler(header.frames, header.rate, rate)
    position, not_finite, peak = 0, 0, 0.0
    stream.seek(header.data_offset)
    while position < header.frames:
        count = min(_BLOCK_FRAMES, header.frames - position)
        block = riff.samples(stream.read(count * frame_bytes), header)
        position += len(block)
        if len(block) < count:
            raise AudioError("truncated", f"{position} of {header.frames} frames could be read")
        bad = block.size - int(np.count_nonzero(np.isfinite(block)))
        not_finite += bad
        if not bad:
            peak = max(peak, float(np.abs(block).max()))
            resampler.append(block[:, 0] if header.channels == 1 else block.T.mean(axis=0))
    if not_finite:
        total = header.frames * header.channels
        raise AudioError(
            "not_finite", f"{not_finite} of {total} samples are not finite (NaN or Inf)"
        )
    if peak > MAX_PEAK:
        raise AudioError("out_of_range", f"peak of {peak:g} full scales; limit {MAX_PEAK:g}")
    return resampler.finish()
