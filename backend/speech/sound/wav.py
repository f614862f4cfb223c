"""Writes speech as a WAV."""

from pathlib import Path

import numpy as np
import structlog

from backend.errors import SpeechError
from backend.speech.engine import MAX_DURATION_S, SAMPLE_WIDTH, Spoken
from backend.speech.sound.loudness import Samples, level
from backend.storage import make_directory, riff, write_bytes

log = structlog.get_logger(__name__)

_FULL_SCALE = 32_767


def write_speech(path: Path, y: Samples, sample_rate: int, temporary: Path) -> Spoken:
    """Replace `path` by `y` at the one loudness, cut at `MAX_DURATION_S`; see `write_wav`."""
    n_max = MAX_DURATION_S * sample_rate
    if len(y) > n_max:
        log.warning("speech was cut", file=path.name, duration_s=MAX_DURATION_S)
        y = y[:n_max]
    pcm = np.rint(level(y, sample_rate) * _FULL_SCALE).astype("<i2").tobytes()
    return write_wav(path, pcm, sample_rate, temporary)


def write_pcm(path: Path, pcm: bytes, sample_rate: int, temporary: Path) -> Spoken:
    """Write 16-bit samples in native byte order; see `write_speech`."""
    y = np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32_768)
    return write_speech(path, y, sample_rate, temporary)


def write_wav(path: Path, pcm: bytes, sample_rate: int, temporary: Path) -> Spoken:
    """Replace `path` atomically by a mono WAV of 16-bit samples, or raise SpeechError."""
    n_samples = len(pcm) // SAMPLE_WIDTH
    try:
        make_directory(temporary)
        write_bytes(path, riff.pcm16_header(n_samples, sample_rate) + pcm, temporary)
    except OSError as error:
        raise SpeechError(
            f"{path.name} could not be written: {error.strerror or error}; "
            "look at the free space and the rights of the artifacts directory"
        ) from error
    return Spoken(duration_s=n_samples / sample_rate, sample_rate=sample_rate)
