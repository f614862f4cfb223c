"""The header of a WAV file, read by one reader for speech and waves, and written for waves.

libsndfile alone is not enough: it opens a half-truncated file without an error, takes FLAC, ADPCM
or 17-bit samples under the name of WAV, and believes any sampling rate (48 kB that claim 1 Hz
become 1.7 GB when resampled). The rule: what libsndfile, SoX and ffmpeg read alike is read; what
they read differently, such as 24 bits in frames of 4 bytes, or repair, is refused with its value.

    read       RIFF, RF64, BW64; integers, floats, A-law, mu-law; any chunks around the samples
    warning    a size that was never filled in; half a frame at the end
    refused    fewer samples than declared; frames that are not channels times bits; no `fmt `, two,
               or one after the samples; no pad byte after an odd chunk; RIFX; what is compressed

References
----------
.. [1] Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991.
.. [2] Microsoft, "Multiple Channel Audio Data and WAVE Files", 2007 (WAVE_FORMAT_EXTENSIBLE).
.. [3] EBU Tech 3306, "RF64: An extended file format for audio data", 2018.
"""

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

from backend.errors import ReflectiveResonanceError

if TYPE_CHECKING:  # headers are read without it
    import numpy as np
    import numpy.typing as npt

MAX_CHANNELS = 8
MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000
PCM16_HEADER_BYTES = 44
MAX_CHUNKS = 1_000
"""More chunks than this before the samples are an attack on patience, not a recording."""

PCM, IEEE_FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
SUBTYPES = {
    (PCM, 8): "PCM_U8",
    (PCM, 16): "PCM_16",
    (PCM, 24): "PCM_24",
    (PCM, 32): "PCM_32",
    (IEEE_FLOAT, 32): "FLOAT",
    (IEEE_FLOAT, 64): "DOUBLE",
    (ALAW, 8): "ALAW",
    (MULAW, 8): "ULAW",
}
"""(format tag, bits per sample) -> the name soundfile gives it."""

_TAG_NAMES = {
    2: "MS ADPCM",
    ALAW: "A-law",
    MULAW: "mu-law",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x55: "MP3",
}
_OTHER_FORMS = {
    b"RIFX": "RIFX (big-endian)",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"FORM": "AIFF",
    b"ID3": "MP3",
}
STREAMED_FROM = 2_000_000_000
"""A data size from here on that is not there stands for "not known yet", as 0 does.

Written by: libsndfile, Python's `wave` and Piper 0; Pocket TTS 2,000,000,000; SoX and espeak-ng
0x7FFFF000; arecord 0x7FFFFF00; ElevenLabs 0x7FFFFFFF; ffmpeg, OpenAI and Kokoro 0xFFFFFFFF; some
take the size of the header, or a part of a frame, off these. No file that we read is as large.
"""

_FMT_SIZE, _EXTENSIBLE_SIZE = 16, 40
FORMS = (b"RIFF", b"RF64", b"BW64")
_IN_DS64 = 0xFFFF_FFFF
"""Stands for a size in the chunk `ds64`: 8 bytes for the file, then 8 for the samples [3]_."""
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the two bytes of the format tag in a KSDATAFORMAT_SUBTYPE GUID [2]_."""


WavReason = Literal["empty", "not_wave", "unsupported_format", "truncated", "out_of_range"]


class WavError(ReflectiveResonanceError):
    """A WAV file is refused; `reason` says why in one word, for programs."""

    def __init__(self, reason: WavReason, message: str) -> None:
        super().__init__(message)
        self.reason: WavReason = reason


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a WAV file says, after every check."""

    rate: int
    channels: int
    subtype: str
    frames: int
    data_offset: int
    data_size: int
    """Bytes of samples that are really there, in whole frames or not."""
    warnings: tuple[str, ...]

    @property
    def bits(self) -> int:
        """Bits per sample."""
        return next(bits for (_, bits), subtype in SUBTYPES.items() if subtype == self.subtype)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate


def read_header(stream: BinaryIO, size: int) -> Header:
    """Read the header of a WAV file of `size` bytes; it may have no frames.

    Raises
    ------
    WavError
        If it is anything but a whole RIFF/WAVE file of a kind we read; the message gives the value.
    """
    _check_form(stream, size)
    fmt: tuple[int, int, str, int] | None = None
    offset, in_ds64 = 12, _IN_DS64
    for _ in range(MAX_CHUNKS):
        stream.seek(offset)
        head = stream.read(8)
        if len(head) < 8:
            missing = "samples ('data' chunk)" if fmt else "format ('fmt ' chunk)"
            raise WavError("truncated", f"file ends at byte {size} without its {missing}")
        name, declared = struct.unpack("<4sI", head)
        offset += 8
        if name == b"data":
            if declared == _IN_DS64:
                declared = in_ds64
            if fmt is None:
                raise WavError("not_wave", f"samples at byte {offset} come before their format")
            if declared:
                is_streamed = declared >= STREAMED_FROM and offset + declared > size
            else:
                is_streamed = not _only_chunks_follow(stream, offset, size)
            return _data(fmt, offset, declared, size - offset, is_streamed=is_streamed)
        if offset + declared > size:
            raise WavError(
                "truncated",
                f"chunk {name!r} at byte {offset - 8} claims {declared} bytes, "
                f"{size - offset} are there",
            )
        if name == b"ds64":
            in_ds64 = int.from_bytes(stream.read(min(declared, 16))[8:], "little") or _IN_DS64
        elif name == b"fmt ":
            if fmt is not None:
                raise WavError("not_wave", f"second 'fmt ' chunk at byte {offset - 8}")
            fmt = _fmt(stream.read(min(declared, _EXTENSIBLE_SIZE)))
        offset += declared + declared % 2  # chunks start on even bytes
    raise WavError("not_wave", f"more than {MAX_CHUNKS} chunks before the samples")


def other_form(start: bytes) -> str | None:
    """Return what a file that begins with `start` is, if it is sound of another kind than WAV."""
    return _OTHER_FORMS.get(start[:4]) or _OTHER_FORMS.get(start[:3])


def _check_form(stream: BinaryIO, size: int) -> None:
    """Refuse everything that does not start as a RIFF/WAVE file."""
    if size == 0:
        raise WavError("empty", "file is empty (0 bytes)")
    stream.seek(0)
    head = stream.read(12)
    if other := other_form(head):
        raise WavError("unsupported_format", f"file is {other}, not RIFF/WAVE")
    if head[:4] not in FORMS or (len(head) == 12 and head[8:] != b"WAVE"):
        raise WavError("not_wave", f"file starts with {head!r}, not with RIFF....WAVE")
    if len(head) < 12:
        raise WavError("truncated", f"file ends at byte {size}, inside its first header")


def _fmt(chunk: bytes) -> tuple[int, int, str, int]:
    """Return rate, channels, subtype and bytes per frame of a `fmt ` chunk."""
    if len(chunk) < _FMT_SIZE:
        raise WavError("not_wave", f"'fmt ' chunk of {len(chunk)} bytes, at least 16 expected")
    tag, channels, rate, _, block_align, bits = struct.unpack("<HHIIHH", chunk[:_FMT_SIZE])
    if tag == EXTENSIBLE:
        tag = _extensible_tag(chunk, bits)
    subtype = SUBTYPES.get((tag, bits))
    if subtype is None:
        kind = {PCM: "integer", IEEE_FLOAT: "float"}.get(tag) or _TAG_NAMES.get(tag, "unknown")
        raise WavError(
            "unsupported_format",
            f"samples are {bits}-bit {kind} (format tag 0x{tag:04X}); "
            "8, 16, 24 or 32-bit integer, 32 or 64-bit float, A-law and mu-law are read",
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise WavError("out_of_range", f"{channels} channels; 1 to {MAX_CHANNELS} are read")
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise WavError(
            "out_of_range",
            f"sampling rate of {rate} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are read",
        )
    if block_align != channels * bits // 8:
        raise WavError(
            "not_wave",
            f"{block_align} bytes per frame contradict {channels} channels of {bits} bits",
        )
    return rate, channels, subtype, block_align


def _extensible_tag(chunk: bytes, bits: int) -> int:
    """Return the format tag that an extensible `fmt ` chunk stands for."""
    if len(chunk) < _EXTENSIBLE_SIZE:
        raise WavError("not_wave", f"extensible 'fmt ' chunk of {len(chunk)} bytes, 40 expected")
    valid_bits, _, tag = struct.unpack("<HIH", chunk[18:26])
    if chunk[26:40] != _GUID_TAIL:
        raise WavError("unsupported_format", f"sample format GUID {chunk[24:40].hex()} is unknown")
    if valid_bits > bits:
        raise WavError("not_wave", f"{valid_bits} valid bits in samples of {bits} bits")
    return int(tag)


def _only_chunks_follow(stream: BinaryIO, offset: int, size: int) -> bool:
    """Tell a recording of no samples from a streamed one, whose size was never filled in."""
    for _ in range(MAX_CHUNKS):
        if offset == size:
            return True
        stream.seek(offset)
        head = stream.read(8)
        if len(head) < 8 or not (head[:4].isascii() and head[:4].decode("ascii").isprintable()):
            return False
        declared = int.from_bytes(head[4:], "little")
        offset += 8 + declared + declared % 2
    return False


def _data(
    fmt: tuple[int, int, str, int], offset: int, declared: int, present: int, *, is_streamed: bool
) -> Header:
    """Return the header once the samples are found at `offset`."""
    rate, channels, subtype, block_align = fmt
    warnings = []
    data_size = declared
    if is_streamed:
        warnings.append(
            f"streamed header (data size {declared}): took the {present} bytes that are there"
        )
        data_size = present
    elif declared > present:
        raise WavError(
            "truncated", f"header declares {declared} bytes of samples, {present} are there"
        )
    frames, rest = divmod(data_size, block_align)
    if rest:
        warnings.append(f"left out {rest} bytes after the last whole frame of {block_align} bytes")
    return Header(rate, channels, subtype, frames, offset, data_size, tuple(warnings))


def pcm16_header(frames: int, rate: int) -> bytes:
    """Return the canonical 44-byte header of a mono 16-bit WAV file."""
    size = 2 * frames
    riff = struct.pack("<4sI4s", b"RIFF", PCM16_HEADER_BYTES - 8 + size, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", _FMT_SIZE, PCM, 1, rate, rate * 2, 2, 16)
    return riff + fmt + struct.pack("<4sI", b"data", size)


def samples(data: bytes, header: Header) -> "npt.NDArray[np.float32]":
    """Return the bytes of whole frames as samples [shape=(n_frames, n_channels)], by libsndfile."""
    import soundfile as sf

    y: npt.NDArray[np.float32]
    y, _ = sf.read(
        io.BytesIO(data),
        dtype="float32",
        always_2d=True,
        format="RAW",
        samplerate=header.rate,
        channels=header.channels,
        subtype=header.subtype,
        endian="LITTLE",
    )
    return y
