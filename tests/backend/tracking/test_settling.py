"""A session has settled when it has finished and work on each of its utterances has ended."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backend.signals import (
    EVENT_LOOP,
    SessionFinished,
    SessionStarted,
    TtsWritten,
    WorkDone,
    WorkFailed,
    define,
    emit,
    session_finished,
    session_started,
    tts_written,
)
from backend.tracking import Outcome, Settling
from tests.patience import LIMIT_S

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SESSIONS = 1000
done = define("settling_test_done", WorkDone, "For tests.", sender="tests", thread=EVENT_LOOP)
failed = define("settling_test_failed", WorkFailed, "For tests.", sender="tests", thread=EVENT_LOOP)


class Settled(Settling):
    """Writes down what it is told."""

    def __init__(self, *, works: bool = True, limit_s: float = LIMIT_S) -> None:
        super().__init__((done, failed), lambda: works, limit_s)
        self.told: list[tuple[object, ...]] = []
        self.any = asyncio.Event()

    def started(self, session_id: str) -> None:
        self.told.append(("started", session_id))

    def ended(self, outcome: Outcome) -> None:
        self.told.append(("ended", outcome.source.slot_id))

    def settled(self, session_id: str, missing: tuple[TtsWritten, ...]) -> None:
        self.told.append(("settled", session_id, *(source.slot_id for source in missing)))
        self.any.set()


@contextmanager
def following(*, works: bool = True, limit_s: float = LIMIT_S) -> Iterator[Settled]:
    settled = Settled(works=works, limit_s=limit_s)
    with settled.following():
        yield settled


def start(session_id: str = "a") -> None:
    emit(session_started, None, SessionStarted(session_id, (1, 2), NOW))


def speak(slot_id: int, session_id: str = "a") -> TtsWritten:
    path = f"tts/sessions/{session_id}/turn_1/slot-{slot_id}.wav"
    source = TtsWritten(session_id, 1, "response", slot_id, "x", "y", None, Path(path), path, NOW)
    emit(tts_written, None, source)
    return source


def finish(session_id: str = "a") -> None:
    emit(session_finished, None, SessionFinished(session_id, (), NOW))


async def test_it_settles_with_the_last_outcome() -> None:
    """Neither the end of the session nor a part of the outcomes is enough, in whichever order."""
    with following() as settled:
        start()
        first, second = speak(1), speak(2)
        emit(done, None, WorkDone(first, ()))
        finish()
        before = list(settled.told)
        emit(failed, None, WorkFailed(second, "timeout", "60 s"))

    assert [("started", "a"), ("ended", 1)] == before
    assert [("ended", 2), ("settled", "a")] == settled.told[2:]
    assert 0 == len(settled)


async def test_it_settles_with_its_end_if_that_comes_last() -> None:
    """A session whose outcomes are all there settles when it finishes."""
    with following() as settled:
        start()
        emit(done, None, WorkDone(speak(1), ()))
        before = list(settled.told)
        finish()

    assert [("started", "a"), ("ended", 1)] == before
    assert [("settled", "a")] == settled.told[2:]


async def test_the_first_outcome_counts() -> None:
    """A second outcome of an utterance, or one of an unknown session, is not told of."""
    with following() as settled:
        start()
        first, _ = speak(1), speak(2)
        for _ in range(2):
            emit(failed, None, WorkFailed(first, "queue_full", ""))
        emit(done, None, WorkDone(speak(3, "unknown"), ()))
        finish()
        finish("unknown")

    assert [("started", "a"), ("ended", 1)] == settled.told


async def test_it_waits_no_longer_than_the_limit() -> None:
    """What has no outcome at the time limit is named."""
    with following(limit_s=0.01) as settled:
        start()
        speak(1)
        speak(2)
        finish()
        async with asyncio.timeout(LIMIT_S):
            await settled.any.wait()

    assert [("started", "a"), ("settled", "a", 1, 2)] == settled.told


async def test_nothing_is_waited_for_if_nobody_works() -> None:
    """While the work is not done at all a session settles when it finishes."""
    with following(works=False) as settled:
        start()
        speak(1)
        finish()

    assert [("started", "a"), ("settled", "a")] == settled.told


async def test_settled_sessions_are_forgotten() -> None:
    """After any number of sessions nothing of them is left, and after the end no timer runs."""
    with following() as settled:
        for session_id in map(str, range(SESSIONS)):
            start(session_id)
            emit(done, None, WorkDone(speak(1, session_id), ()))
            finish(session_id)
        after = len(settled)
        start()
        speak(1)
        finish()

    assert (0, 0) == (after, len(settled))
    assert 3 * SESSIONS == sum(entry[1] != "a" for entry in settled.told)
