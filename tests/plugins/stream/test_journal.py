"""What is kept of a session's events, and for how long."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

import anyio
import pytest

from backend import signals
from backend.plugins import Host
from backend.sessions import Done, SessionStart, SessionStream, TurnDone, TurnStart
from backend.storage import Artifacts
from plugins.stream.journal import Entry, Journal
from plugins.stream.plugin import lifespan
from plugins.stream.settings import StreamSettings
from tests.patience import LIMIT_S

KEEP = 20
SESSIONS = 1000
GROWTH_BYTES = 100_000
"""The events of 900 sessions are some 800 kB."""
FRAMES = 12
"""So far up a call is looked for what asked for memory: it is a library that makes the text."""


async def test_a_reader_waits_for_what_is_to_come() -> None:
    """What is appended while a reader waits reaches it; at the end it ends."""
    journal = Journal()
    reading = asyncio.ensure_future(_read(journal, 0))
    journal.append("first", "1")
    await asyncio.sleep(0)  # the reader runs now, and waits
    journal.append("done", "2")
    journal.close()

    async with asyncio.timeout(LIMIT_S):
        read = await reading

    assert [Entry(1, "first", "1"), Entry(2, "done", "2")] == read


async def test_nothing_follows_the_end() -> None:
    """What comes after the end is left out, so that an id means one event for ever."""
    journal = Journal()
    journal.append("done", "1")
    journal.close()

    journal.append("late", "2")

    assert [Entry(1, "done", "1")] == await _read(journal, 0)


async def test_a_stop_waits_for_done_and_not_for_waves() -> None:
    """While the server stops a reader gets all up to `done` and then ends, though waves are due."""
    journal, stopping = Journal(), anyio.Event()
    stopping.set()
    reading = asyncio.ensure_future(_read(journal, 0, stopping))
    journal.append("turn.done", "1")
    await asyncio.sleep(0)  # the reader runs now, and waits
    journal.append("done", "2")

    async with asyncio.timeout(LIMIT_S):
        read = await reading

    assert ["turn.done", "done"] == [entry.name for entry in read]


async def test_a_stop_ends_a_reader_that_waits_for_waves() -> None:
    """A reader that has seen `done` ends when the stop begins, though waves are due."""
    journal, stopping = Journal(), anyio.Event()
    journal.append("done", "1")
    reading = asyncio.ensure_future(_read(journal, 0, stopping))
    await asyncio.sleep(0)  # the reader runs now, and waits
    waited = not reading.done()
    stopping.set()

    async with asyncio.timeout(LIMIT_S):
        read = await reading

    assert waited
    assert [Entry(1, "done", "1")] == read


@pytest.mark.e2e
async def test_a_thousand_sessions_need_no_more_memory_than_a_hundred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1,000 sessions the newest are kept, and what is in memory does not grow."""
    monkeypatch.setattr(signals, "SLOW_RECEIVER_S", LIMIT_S)  # pytest would keep the warnings
    host = Host(Artifacts(tmp_path), lambda state, reason: None, "stream")
    async with lifespan(host, StreamSettings(keep_sessions=KEEP)) as journals:
        for number in range(SESSIONS // 10):
            _play(f"session-{number}")
        gc.collect()
        tracemalloc.start(FRAMES)
        for number in range(SESSIONS // 10, SESSIONS):
            _play(f"session-{number}")
        gc.collect()
        ours = [
            tracemalloc.Filter(True, f"*/{part}/*", all_frames=True)
            for part in ("backend", "plugins")
        ]
        traces = tracemalloc.take_snapshot().filter_traces(ours).statistics("filename")
        grown = sum(trace.size for trace in traces)
        tracemalloc.stop()
        kept = [n for n in range(SESSIONS) if journals.find(f"session-{n}") is not None]

    assert list(range(SESSIONS - KEEP, SESSIONS)) == kept
    assert KEEP == len(journals)
    assert grown < GROWTH_BYTES


async def test_a_session_that_runs_is_never_forgotten(tmp_path: Path) -> None:
    """However many sessions finish meanwhile, one that runs is kept, with all its events."""
    host = Host(Artifacts(tmp_path), lambda state, reason: None, "stream")
    async with lifespan(host, StreamSettings(keep_sessions=1)) as journals:
        long = SessionStream("long")
        long.publish(SessionStart(session_id="long"))
        for number in range(5):
            _play(f"session-{number}")
        long.publish(Done(session_id="long", completed_slots=0))

        journal = journals.find("long")

    assert journal is not None
    assert ["session.start", "done"] == [entry.name for entry in await _read(journal, 0)]


async def _read(journal: Journal, after: int, stopping: anyio.Event | None = None) -> list[Entry]:
    return [entry async for entry in journal.read(after, stopping or anyio.Event())]


def _play(session_id: str) -> None:
    """Publish what a short session publishes."""
    stream = SessionStream(session_id)
    stream.publish(SessionStart(session_id=session_id))
    for turn in (1, 2, 3):
        stream.publish(TurnStart(session_id=session_id, turn_index=turn))
        stream.publish(TurnDone(session_id=session_id, turn_index=turn, slot_count=0))
    stream.publish(Done(session_id=session_id, completed_slots=0))
    stream.close()
