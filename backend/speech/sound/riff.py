"""Decodes the speech that a service sent into checked mono samples."""

from io import BytesIO
from typing import Final

import numpy as np

from backend.errors import SpeechError
from backend.speech.sound.loudness import Samples
from backend.storage import WavError, read_header

MAX_BODY_BYTES: Final = 40_000_000
"""Two minutes of 48 kHz stereo in 24 bits are 35 MB."""
MIN_DURATION_S: Final = 0.1
"""Shorter than any word."""

_OTHER_FORMATS = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC", b"<": "HTML", b"{": "JSON"}


class TruncatedError(SpeechError):
    """Less arrived than was announced: asking again may help."""


def decode(body: bytes, *, raw_rate: int | None = None) -> tuple[Samples, int]:
    """Return the mono samples of a WAV and their rate in Hertz, or raise SpeechError.

    With `raw_rate`, `body` may also be mono 16-bit little-endian PCM of that rate, no header.
    """
    if not body:
        raise TruncatedError("the answer is empty")
    if body[:4] == b"RIFF":
        y, sample_rate = _decode_wav(body)
    elif raw_rate is not None and _other_format(body) is None:
        if len(body) % 2:
            raise TruncatedError(f"the answer ends within a sample ({len(body)} bytes of 16 bits)")
        y, sample_rate = _samples(body, raw_rate, 1, "PCM_16"), raw_rate
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
    try:
        header = read_header(BytesIO(body), len(body))
    except WavError as error:
        kind = TruncatedError if error.reason == "truncated" else SpeechError
        raise kind(f"the WAV cannot be read: {error}") from None
    n_bytes = header.frames * header.channels * header.bits // 8
    data = body[header.data_offset :][:n_bytes]
    return _samples(data, header.rate, header.channels, header.subtype), header.rate


def _samples(data: bytes, sample_rate: int, channels: int, subtype: str) -> Samples:
    """Return the mean of the channels at full scale +-1."""
    import soundfile as sf  # the embedded engine reads no speech

    y, _ = sf.read(
        BytesIO(data),
        dtype="float32",
        always_2d=True,
        samplerate=sample_rate,
        channels=channels,
        format="RAW",
        subtype=subtype,
        endian="LITTLE",
    )
    mono: Samples = y.mean(axis=1)
    return mono
