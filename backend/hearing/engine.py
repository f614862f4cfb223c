"""The interface of every hearing engine."""

from dataclasses import dataclass
from typing import Final, Protocol

from backend.services import Engine

SAMPLE_RATE: Final = 16_000
"""Rate in Hertz of what engines get; speech recognition is trained on it."""
LANGUAGE_CODE: Final = r"^([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3})?$"
"""What a language may be written as, such as "de-AT"; empty for that of the settings."""
MIN_DURATION_S: Final = 0.3
MAX_DURATION_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it was said, in seconds from the start of the recording."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What an engine understood; `text` is empty if that is nothing."""

    text: str
    language_code: str
    """As in ISO 639-1, such as "en"."""
    engine: str
    words: tuple[Word, ...] | None = None
    """None if the engine gives no times."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording that was understood."""

    heard_id: str
    transcript: Transcript
    duration_ms: int
    mime_type: str
    """Of the container that was found, such as "audio/webm"."""
    audio_path: str | None = None
    """Relative to the artifacts root, as is the other path; only when it is kept."""
    transcript_path: str | None = None


class HearingEngine(Engine, Protocol):
    """Turns speech into text; see `Engine`."""

    @property
    def languages(self) -> frozenset[str] | None:
        """The languages it knows, as in ISO 639-1; None if it is asked about any."""

    def transcribe(self, pcm: bytes, language_code: str) -> Transcript:
        """Return the words in `pcm`: mono, 16-bit little-endian, `SAMPLE_RATE`.

        Blocks, so it is called on a thread. The recording lasts `MIN_DURATION_S` to
        `MAX_DURATION_S`.

        Raises
        ------
        HearingError
            If the engine failed; the message holds neither words nor a key.
        """


def knows(engine: HearingEngine, language_code: str) -> bool:
    """Return whether `engine` can be asked about a recording in that language."""
    return engine.languages is None or language_code in engine.languages
