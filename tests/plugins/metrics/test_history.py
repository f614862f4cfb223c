"""The last hour, minute by minute."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import discover
from backend.signals import EventPublished, TtsWritten, emit, event_published
from plugins.metrics import history as module
from plugins.metrics.history import MAX_VALUES, MINUTES, History
from plugins.waves.signals import WavesFailed, waves_failed, waves_written
from tests.live import LiveServer, chat
from tests.simulated import done
from tests.test_acceptance import Watch

START = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)
SPOKEN = TtsWritten(
    *("s", 1, "response", 1, "gpt-4o", "calm", None, Path("a.wav"), "tts/a.wav", START)
)


class Clocks:
    """The clock on the wall and the one of spans, moved by hand; the queue too."""

    now = START.timestamp()
    queued = 0

    def wall(self) -> float:
        return self.now


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Return the clocks of the history."""
    clocks = Clocks()
    monkeypatch.setattr(module, "monotonic", clocks.wall)
    return clocks


@pytest.fixture
def history(clocks: Clocks) -> Iterator[History]:
    """Return a history that listens."""
    history = History(lambda: clocks.queued, clocks.wall)
    with history.listening():
        yield history


def tell(name: str, slot_id: int = 1, **data: Any) -> None:
    """Publish an event of the session `s`."""
    data = {"sessionId": "s", "turnIndex": 1, "slotId": slot_id, **data}
    emit(event_published, None, EventPublished("s", 1, name, json.dumps(data)))


def test_each_step_of_an_utterance_is_timed(history: History, clocks: Clocks) -> None:
    """The agent from its question on, speech from the answer on; slots do not mix."""
    tell("session.start")
    for slot_id in (1, 2):
        tell("slot.start", slot_id)
    for name, slot_id in (
        *(("slot.done", 1), ("slot.audio", 1)),
        *(("slot.done", 2), ("slot.audio", 2)),
    ):
        clocks.now += 0.5 * slot_id
        tell(name, slot_id)

    (minute,) = history.hour()

    assert {"p50": 500.0, "p95": 2000.0, "n": 2} == minute["agent_ms"]
    assert {"p50": 500.0, "p95": 1000.0, "n": 2} == minute["speech_ms"]
    assert {"p50": None, "p95": None, "n": 0} == minute["waves_ms"]


def test_waves_are_timed_unless_they_are_made_later(history: History) -> None:
    """From the speech on; nobody waited for those of the backfill."""
    spoken = replace(SPOKEN, written_at=datetime(1970, 1, 1, tzinfo=UTC))  # a clock that jumped
    emit(waves_written, None, done(spoken))
    emit(waves_written, None, replace(done(spoken), backfill=True))

    waves = history.hour()[-1]["waves_ms"]

    assert 1 == waves["n"]
    told = done(spoken)
    assert told.queued_ms + told.running_ms == waves["p50"]


def test_failures_and_the_longest_queue_are_counted(history: History, clocks: Clocks) -> None:
    """A slot that fails and waves that fail are one each; a queue that was long stays so."""
    tell("session.start")
    tell("slot.error")
    clocks.queued = 5
    emit(waves_failed, None, WavesFailed(SPOKEN, "timeout", "took too long", 1.0, 1.0))
    clocks.queued = 0

    minute = history.hour()[-1]

    assert (2, 5) == (minute["failed"], minute["queued"])


def test_sessions_run_until_they_are_done(history: History) -> None:
    """What a session began is forgotten with it."""
    tell("session.start")
    tell("slot.start")
    running = history.sessions_running
    tell("done")
    tell("slot.done")  # of nobody

    assert (1, 0) == (running, history.sessions_running)
    assert 0 == history.hour()[-1]["agent_ms"]["n"]


def test_an_hour_is_kept_with_the_minutes_in_which_nothing_was(
    history: History, clocks: Clocks
) -> None:
    """At first there is one entry; after two hours sixty, and no memory of more."""
    first = history.hour()
    for _ in range(120):
        clocks.now += 60
        tell("slot.error")
    clocks.now += 120

    hour = history.hour()

    assert [START] == [minute["at"] for minute in first]
    assert MINUTES == len(hour)
    assert clocks.now == hour[-1]["at"].timestamp()
    assert [1, 0, 0] == [minute["failed"] for minute in hour[-3:]]
    assert len(history._minutes) <= MINUTES


def test_a_busy_minute_takes_a_bounded_place(history: History) -> None:
    """Of many values the latest are kept."""
    tell("session.start")
    for _ in range(MAX_VALUES + 10):
        tell("slot.start")
        tell("slot.done")

    assert MAX_VALUES == history.hour()[-1]["agent_ms"]["n"]


@pytest.mark.e2e
def test_the_figures_of_a_session_are_answered(tmp_path: Path) -> None:
    """`GET /v1/figures` has its six utterances in each step, the gauges and the disk."""
    found = [item for item in discover() if item.name in {"waves", "metrics"}]
    watch = Watch()
    with (
        LiveServer(create_app(Settings(artifacts_dir=tmp_path), found)) as live,
        watch.watching(),
        live.client() as client,
    ):
        chat(live, 1, 2)
        watch.wait_for_outcomes(6)
        told = client.get("/v1/figures").json()

    sums = {
        name: sum(minute[name]["n"] for minute in told["hour"])
        for name in ("agentMs", "speechMs", "wavesMs")
    }
    assert {"agentMs": 6, "speechMs": 6, "wavesMs": 6} == sums
    assert 0 == told["now"]["sessionsRunning"]
    assert 0 == told["now"]["gauges"]["waves.queued"]
    disk = told["now"]["disk"]
    assert 0 < disk["freeBytes"] <= disk["totalBytes"]
    assert disk["usedBytes"]["tts"] > 0
    assert disk["usedFiles"]["tts"] >= 6
    assert disk["ageS"] >= 0
    assert told["now"]["memoryBytes"]["server"] > 10e6
