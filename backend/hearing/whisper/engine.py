"""Whisper in one child process, which is loaded before the first visitor and keeps its model.

In this process it would not be safe: what decodes and computes is C++ that can end it.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from backend.children import ChildError, ChildPool, ChildTimeoutError, child_command
from backend.errors import HearingError
from backend.hearing.engine import Transcript, Word

COMMAND: Final = child_command(Path(__file__).with_name("child.py"))
_FILES: Final = ("model.bin", "config.json", "tokenizer.json")
"""What a folder must have; without the last faster-whisper would fetch it."""


def is_installed() -> bool:
    """Return whether the optional extra `whisper` is there, without importing it."""
    return find_spec("faster_whisper") is not None


def missing_files(model: Path) -> list[str]:
    """Return the names of the files that the folder of a model lacks."""
    return [file for file in _FILES if not (model / file).is_file()]


class WhisperEngine:
    """Transcribes with the model in a folder, offline; see `HearingEngine`."""

    name = "whisper"
    languages = None

    def __init__(
        self, model: Path, *, timeout_s: float, command: tuple[str, ...] = COMMAND
    ) -> None:
        self._model = model
        self._children = ChildPool(
            "whisper",
            (*command, str(model.resolve())),
            timeout_s=timeout_s,
            max_requests=1,
            reuse=True,
            n_spare=1,
        )

    def transcribe(self, pcm: bytes, language_code: str) -> Transcript:
        """Return the words in `pcm`; see `HearingEngine`."""
        try:
            _, payload = self._children.ask({"language": language_code}, pcm)
        except ChildTimeoutError as error:
            raise HearingError(
                f"{error}: raise RR_STT_TIMEOUT_S, or choose a smaller model"
            ) from error
        except ChildError as error:
            raise HearingError(str(error)) from error
        answer = json.loads(payload)
        words = tuple(Word(*word) for word in answer["words"])
        return Transcript(answer["text"], language_code, self.name, words)

    def check(self) -> str:
        """Return that the model is there; see `HearingEngine`."""
        self.transcribe(bytes(32_000), "en")
        return f"the model in {self._model}"

    def close(self) -> None:
        """Kill the child; see `HearingEngine`."""
        self._children.close()
