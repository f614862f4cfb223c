"""Stands in for hearing in tests of what is done with a recording."""

import asyncio
import threading

from backend.hearing import Heard, State, Transcript, Word
from tests.patience import LIMIT_S

WORDS = (Word("Good", 0.1, 0.3), Word("evening.", 0.35, 0.8))


class StandIn:
    """Hears what it is told to, and keeps what it was given."""

    def __init__(self) -> None:
        self.result: Heard | Exception = Heard(
            "h-1", Transcript("Good evening.", "en", "embedded", WORDS), 1234, "audio/webm"
        )
        self.condition: State = "ok"
        self.given: list[tuple[bytes, str, str]] = []
        self.gate = threading.Event()
        self.gate.set()

    async def hear(self, data: bytes, *, language_code: str = "", label: str = "") -> Heard:
        self.given.append((data, language_code, label))
        await asyncio.to_thread(self.gate.wait, LIMIT_S)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def warm_up(self) -> None: ...

    def state(self) -> tuple[State, str]:
        return self.condition, ""

    def close(self) -> None: ...
