"""Which event logs are kept, and for how long."""

import gc
import tracemalloc
from pathlib import Path

import pytest

from backend import signals
from backend.plugins import Host
from backend.sessions import Done, SessionStart, SessionStream, TurnDone, TurnStart
from backend.signals import EventPublished
from backend.storage import Artifacts
from plugins.stream.plugin import lifespan
from plugins.stream.session_logs import Entry, SessionLog, SessionLogs
from plugins.stream.settings import StreamSettings
from tests.patience import LIMIT_S

KEEP = 20
SESSIONS = 1000
GROWTH_BYTES = 100_000
"""The events of 900 sessions are some 800 kB."""
FRAMES = 12
"""So far up a call is looked for what asked for memory: it is a library that makes the text."""


@pytest.mark.e2e
async def test_a_thousand_sessions_need_no_more_memory_than_a_hundred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1,000 sessions the newest are kept, and what is in memory does not grow."""
    monkeypatch.setattr(signals, "SLOW_RECEIVER_S", LIMIT_S)  # pytest would keep the warnings
    host = Host(Artifacts(tmp_path), lambda state, reason: None, "stream")
    async with lifespan(host, StreamSettings(keep_sessions=KEEP)) as logs:
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
        kept = [n for n in range(SESSIONS) if logs.find(f"session-{n}") is not None]

    assert list(range(SESSIONS - KEEP, SESSIONS)) == kept
    assert KEEP == len(logs)
    assert grown < GROWTH_BYTES


async def test_a_session_that_runs_is_never_forgotten(tmp_path: Path) -> None:
    """However many sessions finish meanwhile, one that runs is kept, with all its events."""
    host = Host(Artifacts(tmp_path), lambda state, reason: None, "stream")
    async with lifespan(host, StreamSettings(keep_sessions=1)) as logs:
        long = SessionStream("long")
        long.publish(SessionStart(session_id="long"))
        for number in range(5):
            _play(f"session-{number}")
        long.publish(Done(session_id="long", completed_slots=0))

        log = logs.find("long")

    assert log is not None
    assert ["session.start", "done"] == [entry.name for entry in await _read(log)]


async def test_nothing_is_added_to_a_closed_log() -> None:
    """What comes for a session that is closed or not known is left out."""
    logs = SessionLogs(1, close_at_done=True)
    for number, name in enumerate(("session.start", "done"), start=1):
        logs.receive(None, event=EventPublished("s", number, name, "{}"))

    for session_id in ("s", "unknown"):
        logs.add(session_id, Entry("slot.waves", "{}"))

    log = logs.find("s")
    assert log is not None
    assert ["session.start", "done"] == [entry.name for entry in await _read(log)]


async def _read(log: SessionLog) -> list[Entry]:
    log.close()
    return [entry async for _, entry in log.read()]


def _play(session_id: str) -> None:
    """Publish what a short session publishes."""
    stream = SessionStream(session_id)
    stream.publish(SessionStart(session_id=session_id))
    for turn in (1, 2, 3):
        stream.publish(TurnStart(session_id=session_id, turn_index=turn))
        stream.publish(TurnDone(session_id=session_id, turn_index=turn, slot_count=0))
    stream.publish(Done(session_id=session_id, completed_slots=0))
    stream.close()
