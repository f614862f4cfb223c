"""The engine that asks several engines in turn until one has spoken."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

import structlog

from backend.errors import SpeechError
from backend.speech.engine import STOPPED, SpeechEngine, Spoken
from backend.speech.text import clean

log = structlog.get_logger(__name__)

PAUSE_AFTER: Final = 3
"""Failures in a row after which an engine is paused: a visitor waits for each."""
PAUSE_S: Final = 60.0


class FallbackEngine:
    """Asks `engines` in order; one that keeps failing is paused, except the last."""

    def __init__(
        self, engines: Sequence[SpeechEngine], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._engines = engines
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        self._paused_until: dict[str, float] = {}
        self._closed = False

    @property
    def name(self) -> str:
        """The name of the engine that is asked first."""
        return self._engines[0].name

    @property
    def engines(self) -> Sequence[SpeechEngine]:
        """The engines, in the order in which they are asked."""
        return self._engines

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path` with the first engine that can; see `SpeechEngine`."""
        spoken_text = clean(text)  # first: a text without words is no engine's failure
        reasons: dict[str, str] = {}
        for engine in self._engines:
            if self._closed:
                raise SpeechError(STOPPED)
            if engine is not self._engines[-1] and self._is_paused(engine.name):
                reasons[engine.name] = f"paused after {PAUSE_AFTER} failures in a row"
                continue
            try:
                spoken = engine.generate_wav_to_file(spoken_text, voice_profile, path)
            except SpeechError as error:
                reasons[engine.name] = str(error)
            except Exception as error:
                log.exception("speech engine failed unexpectedly", engine=engine.name)
                reasons[engine.name] = f"internal error ({type(error).__name__})"
            else:
                self._count(engine.name, failed=False)
                if reasons:
                    log.warning("speech fell back", spoken_by=engine.name, reasons=reasons)
                return spoken
            self._count(engine.name, failed=True)
        raise SpeechError("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))

    def check(self) -> str:
        """Return how all engines are; see `SpeechEngine`."""
        return "; ".join(f"{engine.name}: {engine.check()}" for engine in self._engines)

    def close(self) -> None:
        """Close all engines; see `SpeechEngine`."""
        self._closed = True
        for engine in self._engines:
            engine.close()

    def _is_paused(self, name: str) -> bool:
        with self._lock:
            return self._clock() < self._paused_until.get(name, 0)

    def _count(self, name: str, *, failed: bool) -> None:
        with self._lock:
            self._failures[name] = self._failures[name] + 1 if failed else 0
            if self._failures[name] >= PAUSE_AFTER:
                self._paused_until[name] = self._clock() + PAUSE_S
