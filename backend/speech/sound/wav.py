"""Writes speech as a WAV."""

import wave
from pathlib import Path

import numpy as np
import structlog

from backend.errors import SpeechError
from backend.speech.engine import MAX_DURATION_S, SAMPLE_WIDTH, Spoken
from backend.speech.sound.loudness import Samples, level
from backend.storage import writing

log = structlog.get_logger(__name__)

_FULL_SCALE = 32_767


def write_speech(path: Path, y: Samples, sample_rate: int, temporary: Path) -> Spoken:
    """Bring `y` to the one loudness and replace `path` by it; see `write_wav`.

    Speech longer than `MAX_DURATION_S` is cut, with a warning.

    Raises
    ------
    SpeechError
        If nothing can be heard in `y`, or the file cannot be written.
    """
    n_max = MAX_DURATION_S * sample_rate
    if len(y) > n_max:
        log.warning("speech was cut", file=path.name, duration_s=MAX_DURATION_S)
        y = y[:n_max]
    pcm = np.rint(level(y, sample_rate) * _FULL_SCALE).astype(np.int16).tobytes()
    return write_wav(path, pcm, sample_rate, temporary)


def write_pcm(path: Path, pcm: bytes, sample_rate: int, temporary: Path) -> Spoken:
    """Write 16-bit samples in native byte order; see `write_speech`."""
    y = np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32_768)
    return write_speech(path, y, sample_rate, temporary)


def write_wav(path: Path, pcm: bytes, sample_rate: int, temporary: Path) -> Spoken:
    """Replace `path` atomically by a mono 16-bit WAV of `pcm`, samples in native byte order.

    Raises
    ------
    SpeechError
        If the file cannot be written; `path` is then as it was.
    """
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        with writing(path, temporary) as draft, wave.open(str(draft), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(SAMPLE_WIDTH)
            file.setframerate(sample_rate)
            file.writeframes(pcm)
    except OSError as error:
        raise SpeechError(
            f"{path.name} could not be written: {error.strerror or error}; "
            "look at the free space and the rights of the artifacts directory"
        ) from error
    return Spoken(duration_s=len(pcm) / SAMPLE_WIDTH / sample_rate, sample_rate=sample_rate)
