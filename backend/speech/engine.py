"""The interface every speech engine fulfils."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

DEFAULT_TIMEOUT_S: Final = 20.0
"""Time one utterance may take; the embedded engine needs about 0.1 s."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What stands in a WAV that was just written."""

    duration_s: float
    sample_rate: int


class SpeechEngine(Protocol):
    """Something that turns text into a WAV.

    An engine keeps no state between two utterances, and several threads may use it at once.
    """

    @property
    def name(self) -> str:
        """The name the engine goes by in settings and logs."""

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
