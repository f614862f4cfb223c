"""Reading the speech a service sent: bytes in, checked mono samples out.

Done by hand and not by libsndfile, which reads half a file without a word. The header of a WAV that
was streamed says 0, 0x7FFFFFFF or 0xFFFFFFFF bytes, since nobody knew its length when it was sent:
then the bytes that are there are taken. A length that could be true and is not there is a truncated
file, and refused.
"""

import struct
from typing import Final

import numpy as np

from backend.errors import SpeechError
from backend.speech.loudness import Samples

MAX_BODY_BYTES: Final = 40_000_000
"""Two minutes of 48 kHz stereo in 24 bits are 35 MB."""
MIN_RATE: Final = 8_000
MAX_RATE: Final = 192_000
MAX_CHANNELS: Final = 8
MIN_DURATION_S: Final = 0.1
"""Shorter than any word."""

_PCM = 1
_FLOAT = 3
_EXTENSIBLE = 0xFFFE
_FORMAT_BYTES = 16
_OTHER_FORMATS = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC", b"<": "HTML", b"{": "JSON"}


class TruncatedError(SpeechError):
    """Less arrived than was announced: asking again may help."""


def decode(body: bytes, *, raw_rate: int | None = None) -> tuple[Samples, int]:
    """Return the samples of `body`, mono, and their rate in Hertz.

    Parameters
    ----------
    body : bytes
        A WAV; or, if `raw_rate` is given, perhaps mono 16-bit little-endian PCM without a header.
    raw_rate : int, optional
        The rate of such PCM.

    Raises
    ------
    TruncatedError
        If `body` is empty or ends early.
    SpeechError
        If it is not speech; the message says what it is, and holds nothing of it.
    """
    if not body:
        raise TruncatedError("the answer is empty")
    if body[:4] == b"RIFF":
        y, sample_rate = _decode_wav(body)
    elif raw_rate is not None and _other_format(body) is None:
        if len(body) % 2:
            raise TruncatedError(f"the answer ends within a sample ({len(body)} bytes of 16 bits)")
        y, sample_rate = _samples(body, _PCM, 16), raw_rate
    else:
        kind = _other_format(body) or "unknown data"
        raise SpeechError(f"the answer is {kind}, not a WAV ({len(body)} bytes)")
    if not np.isfinite(y).all():
        raise SpeechError(f"{np.count_nonzero(~np.isfinite(y))} of {len(y)} samples are not finite")
    if len(y) < MIN_DURATION_S * sample_rate:
        raise TruncatedError(f"the answer holds {len(y)} samples, which is less than a word")
    return y, sample_rate


def _other_format(body: bytes) -> str | None:
    start = body[:64].lstrip()
    return next((name for magic, name in _OTHER_FORMATS.items() if start.startswith(magic)), None)


def _decode_wav(body: bytes) -> tuple[Samples, int]:
    if body[8:12] != b"WAVE":
        raise SpeechError("the answer is RIFF, but not a WAVE")
    layout: tuple[int, int, int, int] | None = None
    at = 12
    while at + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, at)
        at += 8
        if name == b"data":
            if layout is None:
                raise SpeechError("the WAV has no format before its data")
            return _mono(_data(body, at, size), layout)
        if name == b"fmt ":
            layout = _layout(body[at : at + size])
        at += size + size % 2
    raise TruncatedError("the WAV ends before its data")


def _data(body: bytes, at: int, size: int) -> bytes:
    """Return the bytes of the data chunk that begins at `at`, whatever its header says."""
    present = len(body) - at
    if size == 0 or size > MAX_BODY_BYTES:
        return body[at:]
    if size > present:
        raise TruncatedError(f"the WAV announces {size} bytes of speech, {present} are there")
    return body[at : at + size]


def _layout(chunk: bytes) -> tuple[int, int, int, int]:
    """Return coding, channels, rate and bits per sample of a format chunk."""
    if len(chunk) < _FORMAT_BYTES:
        raise TruncatedError(f"the WAV's format has {len(chunk)} bytes")
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if coding == _EXTENSIBLE and len(chunk) >= 26:  # where the sub-format stands
        (coding,) = struct.unpack_from("<H", chunk, 24)
    if (coding, bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32)} | {
        (_FLOAT, 32),
        (_FLOAT, 64),
    }:
        raise SpeechError(f"the WAV's coding {coding} with {bits} bits is not one we read")
    if not 1 <= channels <= MAX_CHANNELS:
        raise SpeechError(f"the WAV has {channels} channels, not 1 to {MAX_CHANNELS}")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise SpeechError(f"the WAV has {rate} Hz, not {MIN_RATE} to {MAX_RATE}")
    return coding, channels, rate, bits


def _mono(data: bytes, layout: tuple[int, int, int, int]) -> tuple[Samples, int]:
    coding, channels, rate, bits = layout
    frame = channels * bits // 8
    y = _samples(data[: len(data) // frame * frame], coding, bits)
    mono: Samples = y.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mono, rate


def _samples(data: bytes, coding: int, bits: int) -> Samples:
    """Return interleaved samples at full scale +-1."""
    if coding == _FLOAT:
        with np.errstate(over="ignore"):  # what is too large is found not to be finite
            return np.frombuffer(data, dtype=f"<f{bits // 8}").astype(np.float32)
    if bits == 8:  # the one width that is unsigned
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if bits == 24:  # no such type: placed in the upper bytes of 32 bits
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4").ravel().astype(np.float32) / np.float32(2**31)
    y: Samples = np.frombuffer(data, f"<i{bits // 8}").astype(np.float32)
    return y / np.float32(2 ** (bits - 1))
