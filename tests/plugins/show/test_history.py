"""What is rebuilt from the records of the waves."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from backend.signals import TtsWritten
from backend.storage import Artifacts
from backend.tracking import DialogueOver, SessionOver, TurnOver, UtteranceDone, UtteranceMissing
from plugins.show import connection, plugin
from plugins.show.history import History, read_history
from plugins.waves.jobs import record
from tests.patience import LIMIT_S
from tests.plugins.show.listening import Listener, on_loop, simulating
from tests.simulated import play, spoken, write_waves

START = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


def keep(
    artifacts: Artifacts, source: TtsWritten, after_s: int, reason: str | None = None
) -> tuple[Path, ...]:
    """Record an utterance as the waves plugin does."""
    source.wav_path.parent.mkdir(parents=True, exist_ok=True)
    files = () if reason else write_waves(source, artifacts.root)
    utterance = record.Utterance(
        source=source.audio_path,
        status="failed" if reason else "written",
        app_version="1",
        finished_at=(START + timedelta(seconds=after_s)).isoformat(timespec="milliseconds"),
        files=tuple(record.WaveEntry(artifacts.relative(path), 1, "") for path in files),
        reason=reason,
        message=reason and f"a {reason}",
    )
    assert record.record(artifacts, source.session_id, utterance)
    return files


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


def test_a_session_is_told_again_as_it_was(artifacts: Artifacts) -> None:
    """Utterances in the order they ended in, with their time, voices and waves, then the groups."""
    root = artifacts.root
    reply = spoken("s", 3, 2, root=root)
    files = keep(artifacts, spoken("s", 1, 2, root=root), 1)
    keep(artifacts, spoken("s", 1, 1, root=root), 2, reason="timeout")
    keep(artifacts, spoken("s", 2, 1, target=2, root=root), 3)
    keep(artifacts, reply, 4)

    history = read_history(artifacts, 10)

    first, second, _, fourth, *groups = (past.event for past in history.events)
    assert isinstance(first, UtteranceDone)
    assert (files, None) == (first.outcome.files, first.waited_s)
    assert (1, "response", 2, "gpt-4o", "calm_soothing", None) == (
        first.outcome.source.turn_index,
        first.outcome.source.kind,
        first.outcome.source.slot_id,
        first.outcome.source.agent_id,
        first.outcome.source.voice_profile,
        first.outcome.source.target_slot_id,
    )
    assert isinstance(second, UtteranceMissing)
    assert ("timeout", "a timeout") == (second.missing.reason, second.missing.message)
    assert isinstance(fourth, UtteranceDone)
    assert reply.wav_path == fourth.outcome.source.wav_path
    assert [DialogueOver, TurnOver, TurnOver, TurnOver, SessionOver] == [type(g) for g in groups]
    assert [1, 2, 3, 4, 4, 4, 4, 4, 4] == [
        (past.at - START).total_seconds() for past in history.events
    ]
    assert history.lost_before is None


def test_only_the_newest_sessions_are_read(artifacts: Artifacts) -> None:
    """As many as asked for, oldest first; when what is left out took place is told."""
    for number in range(5):
        keep(artifacts, spoken(f"s{number}", 1, 1, root=artifacts.root), number)

    history = read_history(artifacts, 2)

    told = [p.event.session_id for p in history.events if isinstance(p.event, SessionOver)]
    assert ["s3", "s4"] == told
    assert history.lost_before is not None
    assert [] == read_history(artifacts, 0).events


@pytest.mark.parametrize(
    "contents",
    [
        "",
        "{",
        "[]",
        '{"format": 2, "utterances": []}',
        '{"format": 1, "utterances": [{"source": "x"}]}',
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "[" * 100_000,
    ],
)
def test_a_corrupt_record_is_passed_over(contents: str, artifacts: Artifacts) -> None:
    """Its session is left out with a warning, and the others are there."""
    keep(artifacts, spoken("a", 1, 1, root=artifacts.root), 1)
    keep(artifacts, spoken("b", 1, 1, root=artifacts.root), 1)
    (artifacts.sessions("waves") / "a" / "session.json").write_text(contents, encoding="latin-1")

    with capture_logs() as logs:
        history = read_history(artifacts, 10)

    assert ["b"] == [p.event.session_id for p in history.events if isinstance(p.event, SessionOver)]
    assert ["warning"] == [log["log_level"] for log in logs]


@pytest.mark.parametrize(
    ("source", "sessions"),
    [
        ("tts/sessions/other/turn_1/slot-1_gpt-4o_calm_soothing.wav", 0),
        ("tts/sessions/a/turn_1/../../slot-1_gpt-4o_calm_soothing.wav", 0),
        ("/etc/passwd", 0),
    ],
)
def test_a_record_names_only_its_own(source: str, sessions: int, artifacts: Artifacts) -> None:
    """A record that speaks of another session, or of files elsewhere, is corrupt."""
    keep(artifacts, spoken("a", 1, 1, root=artifacts.root), 1)
    path = artifacts.sessions("waves") / "a" / "session.json"
    data = json.loads(path.read_text("utf-8"))
    data["utterances"][0]["source"] = source
    path.write_text(json.dumps(data), "utf-8")

    assert sessions == len(read_history(artifacts, 10).events)


@pytest.mark.parametrize("path", ["../../etc/passwd", "waves/sessions/a/turn_1/gone.wav"])
def test_waves_that_are_not_there_are_missing(path: str, artifacts: Artifacts) -> None:
    """Neither a deleted file nor one outside the served trees is told of."""
    keep(artifacts, spoken("a", 1, 1, root=artifacts.root), 1)
    record_path = artifacts.sessions("waves") / "a" / "session.json"
    data = json.loads(record_path.read_text("utf-8"))
    data["utterances"][0]["files"][1]["path"] = path
    record_path.write_text(json.dumps(data), "utf-8")

    first = read_history(artifacts, 10).events[0].event

    assert isinstance(first, UtteranceMissing)
    assert "gone" == first.missing.reason


def test_without_waves_there_is_no_history(artifacts: Artifacts) -> None:
    """A root that does not exist yet is an empty past; so is a session without a record."""
    assert ([], None) == (
        read_history(artifacts, 10).events,
        read_history(artifacts, 10).lost_before,
    )
    (artifacts.sessions("waves") / "s").mkdir(parents=True)
    assert [] == read_history(artifacts, 10).events


def test_the_start_does_not_wait_for_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the records are read the server serves; what happens is told after what happened."""
    opened = threading.Event()

    def read_slowly(artifacts: Artifacts, max_sessions: int) -> History:
        assert opened.wait(LIMIT_S)
        return read_history(artifacts, max_sessions)

    monkeypatch.setattr(plugin, "read_history", read_slowly)
    monkeypatch.setattr(connection, "HELLO_GRACE_S", LIMIT_S)
    source = spoken("old", 1, 1, root=tmp_path)
    keep(Artifacts(tmp_path), source, 1)
    with simulating(tmp_path) as live, Listener(live, silent=True) as listener:
        on_loop(live, lambda: play("new", tmp_path, (1,)))
        listener.say('{"type": "hello", "cursor": 0}')
        opened.set()
        told = listener.events() + listener.events()

    assert ["old"] * 3 + ["new"] * 9 == [event["sessionId"] for event in told]


def test_a_history_that_fails_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with the records, what happens is told."""

    def fail_to_read(artifacts: Artifacts, max_sessions: int) -> History:
        raise RuntimeError("no")

    monkeypatch.setattr(plugin, "read_history", fail_to_read)
    with simulating(tmp_path) as live, Listener(live) as listener:
        on_loop(live, lambda: play("new", tmp_path, (1,)))

        assert 9 == len(listener.events())
