"""The interface of every speech engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

from backend.services import Engine
from backend.speech.profiles import DEFAULT_PROFILE

DEFAULT_TIMEOUT_S: Final = 20.0
"""Time one utterance may take; the embedded engine needs about 0.1 s."""

SAMPLE_WIDTH: Final = 2
"""Bytes per sample: 16 bits."""
MAX_DURATION_S: Final = 120
"""Longest utterance: some scripts are spelt out, and 600 characters of Thai are minutes."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Length and rate of a WAV that was just written."""

    duration_s: float
    sample_rate: int


class SpeechEngine(Engine, Protocol):
    """Turns text into a WAV; see `Engine`."""

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path`, a mono 16-bit WAV, and return what was written.

        Blocks, so the workflow calls it on a thread. `path` appears whole or not at all; a file
        that stood there is replaced. A `voice_profile` that is not known is spoken in the default
        one, with a warning in the log.

        Raises
        ------
        SpeechError
            If nothing could be spoken or written; the message does not hold the text.
        """


def spoken_wav(
    engine: SpeechEngine, text: str, temporary: Path, voice_profile: str = DEFAULT_PROFILE
) -> bytes:
    """Return the WAV of a text, of which no file is kept, or raise as `SpeechEngine` does."""
    path = temporary / f"spoken-{uuid4().hex}.wav"
    try:
        engine.generate_wav_to_file(text, voice_profile, path)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
