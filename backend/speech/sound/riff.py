"""Decodes the speech that a service sent into checked mono samples."""

from io import BytesIO
from typing import Final

import numpy as np

from backend.errors import SpeechError
from backend.speech.sound.loudness import Samples
from backend.storage import WavError, read_header, riff

MAX_BODY_BYTES: Final = 40_000_000
"""Two minutes of 48 kHz stereo in 24 bits are 35 MB."""
MIN_DURATION_S: Final = 0.1
"""Shorter than any word."""

_TEXTS = {b"<": "HTML", b"{": "JSON"}


class TruncatedError(SpeechError):
    """Less arrived than was announced: asking again may help."""


def decode(body: bytes, *, raw_rate: int | None = None) -> tuple[Samples, int]:
    """Return the mono samples of a WAV and their rate in Hertz, or raise SpeechError.

    With `raw_rate`, `body` may also be mono 16-bit little-endian PCM of that rate, no header.
    """
    if not body:
        raise TruncatedError("the answer is empty")
    if raw_rate is not None and not _is_known(body):
        if len(body) % 2:
            raise TruncatedError(f"the answer ends within a sample ({len(body)} bytes of 16 bits)")
        header = riff.Header(raw_rate, 1, "PCM_16", len(body) // 2, 0, len(body), ())
    else:
        header = _header(body)
    n_bytes = header.frames * header.channels * header.bits // 8
    data = body[header.data_offset :][:n_bytes]
    y, sample_rate = riff.samples(data, header).mean(axis=1), header.rate
    if not np.isfinite(y).all():
        raise SpeechError(f"{np.count_nonzero(~np.isfinite(y))} of {len(y)} samples are not finite")
    if len(y) < MIN_DURATION_S * sample_rate:
        raise TruncatedError(f"the answer holds {len(y)} samples, which is less than a word")
    return y, sample_rate


def _text(body: bytes) -> str | None:
    start = body[:64].lstrip()
    return next((name for magic, name in _TEXTS.items() if start.startswith(magic)), None)


def _is_known(body: bytes) -> bool:
    """Return whether `body` begins as a file does, and is no samples alone."""
    return body[:4] in riff.FORMS or bool(riff.other_form(body) or _text(body))


def _header(body: bytes) -> riff.Header:
    if kind := _text(body):
        raise SpeechError(f"the answer is {kind}, not a WAV ({len(body)} bytes)")
    try:
        return read_header(BytesIO(body), len(body))
    except WavError as error:
        refused = TruncatedError if error.reason == "truncated" else SpeechError
        raise refused(f"the WAV cannot be read: {error}") from None
