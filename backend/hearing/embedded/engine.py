"""Moonshine's English model in one child process, which is loaded before the first visitor.

In this process it would not be safe: two threads in one transcriber get garbage, and the server
need not hold a model of 180 MB. One child takes one recording at a time, on one core.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from backend.children import ChildError, ChildPool, ChildTimeoutError, child_command
from backend.errors import HearingError
from backend.hearing.engine import SAMPLE_RATE, Transcript

COMMAND: Final = child_command(Path(__file__).with_name("child.py"))
NOT_INSTALLED: Final = (
    "moonshine-voice has no wheel for this machine: set RR_STT_ENGINE to whisper, openai or "
    "elevenlabs"
)


def is_installed() -> bool:
    """Return whether moonshine is there, without importing it."""
    return find_spec("moonshine_voice") is not None


class EmbeddedEngine:
    """Transcribes English with moonshine, offline and without a key; see `HearingEngine`."""

    name = "embedded"
    languages = frozenset({"en"})

    def __init__(self, *, timeout_s: float, command: tuple[str, ...] = COMMAND) -> None:
        self._children = ChildPool(
            "the embedded hearing",
            command,
            timeout_s=timeout_s,
            max_requests=1,
            reuse=True,
            n_spare=1,
        )

    def transcribe(self, pcm: bytes, language_code: str) -> Transcript:
        """Return the words in `pcm`; see `HearingEngine`."""
        if not is_installed():
            raise HearingError(NOT_INSTALLED)
        try:
            _, text = self._children.ask({"sample_rate": SAMPLE_RATE}, pcm)
        except ChildTimeoutError as error:
            raise HearingError(
                f"{error}: raise RR_STT_TIMEOUT_S if this machine is slow"
            ) from error
        except ChildError as error:
            raise HearingError(str(error)) from error
        return Transcript(text.decode(), language_code, self.name)

    def check(self) -> str:
        """Load the model if it is not loaded, and return what it is; see `HearingEngine`."""
        self.transcribe(bytes(SAMPLE_RATE), "en")
        return "moonshine tiny, English"

    def close(self) -> None:
        """Kill the child; see `HearingEngine`."""
        self._children.close()
