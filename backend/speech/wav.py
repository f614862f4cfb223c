"""Writing speech as a WAV."""

import wave
from pathlib import Path

from backend.artifacts import writing
from backend.errors import SpeechError
from backend.speech.engine import Spoken

SAMPLE_WIDTH = 2
"""Bytes per sample: 16 bits."""


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
