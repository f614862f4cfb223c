"""The show over restarts, without the waves, and over a thousand sessions."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backend.config import Settings
from backend.http.app import create_app
from backend.signals import (
    SessionStarted,
    TurnFinished,
    emit,
    session_started,
    tts_written,
    turn_finished,
)
from plugins.show.hub import MAX_SESSIONS
from plugins.show.settings import ShowSettings
from tests.live import Data, LiveServer, chat
from tests.plugins.show.listening import (
    Listener,
    found,
    hub_of,
    in_short,
    on_loop,
    simulating,
)
from tests.simulated import NOW, fail, play, spoken

SESSIONS = 1000
RING_SIZE = 100


@contextmanager
def real(root: Path) -> Iterator[LiveServer]:
    """Serve with the real waves and the show; what is missing is made up for at start."""
    app = create_app(Settings(artifacts_dir=root, seed=1), found("waves", "show"))
    with LiveServer(app) as live:
        yield live


def utterances(told: list[Data]) -> list[str]:
    """Return the utterances that are told of, by turn and slot."""
    return sorted(in_short(e) for e in told if e["type"] == "utterance.waves.ready")


@pytest.mark.e2e
def test_a_restart_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that comes back is told of a gap, then what is made up for, numbered anew.

    The first run speaks without making waves, the second has half of them: as after a power cut.
    """
    monkeypatch.setenv("RR_WAVES_BACKFILL_INTERVAL_S", "0")
    with real(tmp_path) as first, Listener(first) as listener:
        heard = chat(first, 1, 2)
        before = listener.events()
    session_id = heard[0][1]["sessionId"]
    third = f"tts/sessions/{session_id}/turn_3"
    for path in (tmp_path / third.replace("tts/", "waves/")).iterdir():
        path.unlink()
    monkeypatch.delenv("RR_WAVES_BACKFILL_INTERVAL_S")

    with real(tmp_path) as second, Listener(second, before[-1]["cursor"]) as again:
        gap = again.wait_for("replay.gap")[-1]["payload"]
        made_up = again.take(2)

    turn_3 = [one for one in utterances(before) if one.startswith("utterance 3")]
    assert turn_3 == utterances(made_up)
    assert all(event["payload"]["backfill"] for event in made_up)
    assert {session_id} == {event["sessionId"] for event in made_up}
    assert [1, 2] == [event["seq"] for event in made_up]
    assert min(e["cursor"] for e in made_up) > max(e["cursor"] for e in before)
    assert again.ack["payload"]["run"] != listener.ack["payload"]["run"]
    assert before[-1]["cursor"] == gap["asked"]


def test_a_restart_is_a_gap(tmp_path: Path) -> None:
    """With the cursor of an earlier run a client gets `replay.gap`, then all events of this run."""
    with simulating(tmp_path) as first, Listener(first) as listener:
        on_loop(first, lambda: play("before", tmp_path, (1,)))
        cursor = listener.events()[-1]["cursor"]
    with simulating(tmp_path) as second, Listener(second) as witness:
        on_loop(second, lambda: play("after", tmp_path, (1,)))
        told = witness.events()
        with Listener(second, cursor) as again:
            gap, *rest = again.wait_for("session.waves.ready")

    assert {"asked": cursor, "oldest": told[0]["cursor"]} == gap["payload"]
    assert told == rest


def test_without_waves_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the waves switched off every group is told as partial by the end of the session."""
    monkeypatch.setenv("RR_WAVES_ENABLED", "false")
    app = create_app(Settings(artifacts_dir=tmp_path, seed=1), found("waves", "show"))
    with LiveServer(app) as live, Listener(live) as listener:
        chat(live, 1)
        told = [in_short(event) for event in listener.events()]

    assert [
        "session.expected",
        "utterance 1 1 not_running",
        "turn 1 partial",
        "turn 2 complete",
        "turn 3 complete",
        "session partial",
    ] == told


def test_what_failed_is_missing_and_why(tmp_path: Path) -> None:
    """A turn with a refused utterance is told as partial, with the slot and the reason."""

    def happen() -> None:
        emit(session_started, None, SessionStarted("s", (1, 2), NOW))
        sources = [spoken("s", 1, slot, root=tmp_path) for slot in (1, 2)]
        for source in sources:
            emit(tts_written, None, source)
        emit(turn_finished, None, TurnFinished("s", 1, (1, 2), NOW))
        fail(sources[0], "queue_full")
        fail(sources[1], "crashed")

    with simulating(tmp_path) as live, Listener(live) as listener:
        on_loop(live, happen)
        *_, failed, turn = listener.events("turn.waves.ready")

    assert ("crashed", "a crashed", False) == (
        failed["payload"]["reason"],
        failed["payload"]["message"],
        failed["payload"]["backfill"],
    )
    assert {
        "turnIndex": 1,
        "status": "partial",
        "utterances": [],
        "missing": [
            {"turnIndex": 1, "slotId": 1, "reason": "queue_full"},
            {"turnIndex": 1, "slotId": 2, "reason": "crashed"},
        ],
    } == turn["payload"]


def test_urls_are_those_of_other_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With RR_SHOW_BASE_URL every URL begins with it."""
    monkeypatch.setenv("RR_SHOW_BASE_URL", "http://192.168.0.5:8000/")
    with simulating(tmp_path) as live, Listener(live) as listener:
        on_loop(live, lambda: play("s", tmp_path, (1,)))
        payload = listener.events("utterance.waves.ready")[-1]["payload"]

    urls = [payload["audioUrl"], *(wave["url"] for wave in payload["waves"])]
    assert 4 == len(urls)
    assert all(url.startswith("http://192.168.0.5:8000/v1/audio/") for url in urls)


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "192.168.0.5"},
        {"base_url": "http://a/b"},
        {"ring_size": 100, "client_queue": 101},
        {"heartbeat_s": 0},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    """An address is one, a ring holds at least a queue, a heart beats."""
    with pytest.raises(ValidationError):
        ShowSettings(**settings)


def test_waves_that_are_gone_are_missing(tmp_path: Path) -> None:
    """If the files are deleted before they are read, the utterance is told as failed."""

    def happen() -> None:
        play("s", tmp_path, (1,))
        shutil.rmtree(tmp_path / "waves")

    with simulating(tmp_path) as live, Listener(live) as listener:
        on_loop(live, happen)
        told = [in_short(event) for event in listener.events()]

    assert "utterance 1 1 unreadable" == told[1]
    assert "session partial" == told[-1]


@pytest.mark.e2e
def test_a_thousand_sessions_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event of 1,000 sessions is told in order; what is kept of them is the ring."""
    monkeypatch.setenv("RR_SHOW_RING_SIZE", str(RING_SIZE))
    monkeypatch.setenv("RR_SHOW_CLIENT_QUEUE", str(RING_SIZE))
    with simulating(tmp_path) as live, Listener(live) as listener:
        cursors: list[int] = []
        for number in range(SESSIONS):
            on_loop(live, lambda n=number: play(f"s{n}", tmp_path, (1,)))  # type: ignore[misc]  # bound
            told = listener.events()
            assert list(range(1, len(told) + 1)) == [event["seq"] for event in told]
            cursors += [event["cursor"] for event in told]
        hub = hub_of(live)

        assert cursors == list(range(cursors[0], cursors[0] + 9 * SESSIONS))
        awaited = {gauge.name: gauge.read() for gauge in live.app.state.hosting.board.gauges}
        assert (RING_SIZE, 0, 1) == (
            len(hub.rings["standard"]),
            awaited["sessions"],
            awaited["clients"],
        )
        assert hub.sessions == SESSIONS <= MAX_SESSIONS
