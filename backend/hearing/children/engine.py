"""Moonshine and Whisper, each in one child process, by the protocol of `backend.children`.

In this process they would not be safe: two threads in one transcriber of moonshine get garbage,
what decodes and computes is C++ that can end the process, and a model has hundreds of megabytes.

A request holds "language" and 16-bit mono PCM at `SAMPLE_RATE`; the answer's payload is JSON:
{"text", "words": [[text, start_s, end_s], ...]}, the words only if the engine has their times.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from backend.children import ChildError, ChildPool, child_command
from backend.errors import HearingError
from backend.hearing.engine import SAMPLE_RATE, Transcript, Word

MOONSHINE: Final = child_command(Path(__file__).with_name("moonshine_child.py"))
WHISPER: Final = child_command(Path(__file__).with_name("whisper_child.py"))


class _ChildEngine:
    """An engine in one child, which loads `model` before the first visitor and keeps it.

    It takes one recording at a time. `advice` says what to do where it is too slow.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    """What messages call the engine."""
    languages: ClassVar[frozenset[str] | None]

    def __init__(
        self, model: str, *, command: Sequence[str], timeout_s: float, advice: str
    ) -> None:
        self._model = model
        self._children = ChildPool(
            self.label,
            command,
            timeout_s=timeout_s,
            advice=advice,
            max_requests=1,
            reuse=True,
            n_spare=1,
        )

    def transcribe(self, pcm: bytes, language_code: str) -> Transcript:
        """Return the words in `pcm`; see `HearingEngine`."""
        try:
            _, payload = self._children.ask({"language": language_code}, pcm)
        except ChildError as error:
            raise HearingError(str(error)) from error
        answer = json.loads(payload)
        words = tuple(Word(*word) for word in answer.get("words", ()))
        return Transcript(answer["text"], language_code, self.name, words or None)

    def check(self) -> str:
        """Load the model if it is not loaded, and return its name; see `HearingEngine`."""
        self.transcribe(bytes(2 * SAMPLE_RATE), "en")
        return self._model

    def close(self) -> None:
        """Kill the child; see `HearingEngine`."""
        self._children.close()


class EmbeddedEngine(_ChildEngine):
    """Transcribes English with moonshine, offline and without a key; see `HearingEngine`."""

    name = "embedded"
    label = "the embedded hearing"
    languages = frozenset({"en"})

    def __init__(self, *, timeout_s: float, command: tuple[str, ...] = MOONSHINE) -> None:
        advice = "raise RR_STT_TIMEOUT_S if this machine is slow"
        model = "moonshine tiny, English"
        super().__init__(model, command=command, timeout_s=timeout_s, advice=advice)


class WhisperEngine(_ChildEngine):
    """Transcribes with the model in a folder, offline; see `HearingEngine`."""

    name = "whisper"
    label = "whisper"
    languages = None

    def __init__(
        self, model: Path, *, timeout_s: float, command: tuple[str, ...] = WHISPER
    ) -> None:
        super().__init__(
            f"the model in {model}",
            command=(*command, str(model.resolve())),
            timeout_s=timeout_s,
            advice="raise RR_STT_TIMEOUT_S, or choose a smaller model",
        )
