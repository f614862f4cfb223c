"""The hearing engines in child processes, by the protocol of `backend.children`.

A request holds "language" and 16-bit mono PCM at `SAMPLE_RATE`; the answer's payload is JSON:
{"text", "words": [[text, start_s, end_s], ...]}, the words only if the engine has their times.
"""

import json
from collections.abc import Sequence
from typing import ClassVar

from backend.children import ChildError, ChildPool
from backend.errors import HearingError
from backend.hearing.engine import SAMPLE_RATE, Transcript, Word


class ChildEngine:
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
