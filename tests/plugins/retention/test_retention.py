"""Retention in a real server, with real sessions and real waves."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered, Host
from backend.signals import (
    SessionFinished,
    SessionStarted,
    TtsWritten,
    emit,
    session_finished,
    session_started,
    tts_written,
)
from backend.storage import Artifacts
from plugins.retention.in_use import sessions_held
from plugins.retention.keeper import Keeper
from plugins.retention.policy import Policy
from plugins.retention.settings import plugin
from plugins.retention.signals import FilesRemoved, files_removed
from plugins.waves.settings import WavesSettings
from plugins.waves.signals import WavesFailed, waves_failed
from tests.live import LiveServer, chat
from tests.patience import until
from tests.plugins.retention.servers import add_newer, gone, serving, wait_for_a_look
from tests.plugins.retention.stores import TREES, store, stored
from tests.plugins.retention.test_removing import refusing
from tests.test_acceptance import Watch, announced, stopped_workers, workers

NOW = datetime(2026, 11, 22, tzinfo=UTC)
A_MOMENT_MIN = "0.0001"


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Return what the bus tells of utterances."""
    watch = Watch()
    with watch.watching():
        yield watch


@pytest.mark.e2e
def test_the_water_keeps_no_words(artifacts: Artifacts, watch: Watch) -> None:
    """Voices go soon after their waves are made, never before; the waves stay, and are served."""
    told: list[FilesRemoved] = []

    def hear(_: object, *, event: FilesRemoved) -> None:
        told.append(event)

    with (
        files_removed.connected_to(hear),
        serving(artifacts, tts_ttl_min=A_MOMENT_MIN) as live,
        live.client() as client,
    ):
        chat(live, 1)
        watch.wait_for_outcomes(len(watch.written))
        until(lambda: len(workers()) == WavesSettings().max_workers, "every worker is there")
        with stopped_workers() as stopped:
            events = chat(live, 1, 2)
            live.settle()
            session_id = events[0][1]["sessionId"]
            for look in range(3):
                wait_for_a_look(artifacts, f"canary-{look}")
            kept = sorted(announced(events)) == [
                artifacts.relative(path)
                for path in sorted((artifacts.sessions("tts") / session_id).rglob("*.wav"))
            ]
            leased = gauges(live)["leased_sessions"]
        watch.wait_for_outcomes(len(watch.written))
        until(lambda: gone(artifacts, session_id, trees=("tts",)), "the voices go")
        waves = [
            artifacts.relative(path)
            for event in watch.outcomes[-6:]
            for path in event.files  # type: ignore[union-attr]  # of WavesWritten
        ]
        answers = {client.get(f"/v1/audio/{path}").status_code for path in waves}
        silent = {client.get(f"/v1/audio/{path}").status_code for path in announced(events)}
        state = client.get("/v1/health/ready").json()["plugins"]["retention"]

    assert stopped
    assert (True, 1) == (kept, leased)
    assert 18 == len(waves)
    assert {HTTPStatus.OK} == answers
    assert {HTTPStatus.NOT_FOUND} == silent
    assert {"state": "ok", "reason": ""} == state
    assert [(session_id, "tts", "age")] == [
        (event.session_id, event.tree, event.why)
        for event in told
        if event.session_id == session_id
    ]
    assert not any(thread.name == "retention" for thread in threading.enumerate())


def gauges(live: LiveServer) -> dict[str, float]:
    """Return the numbers that the plugin shows."""
    board = live.app.state.hosting.board
    return {gauge.name: gauge.read() for gauge in board.gauges if gauge.plugin == "retention"}


def test_waves_take_their_speech_with_them(artifacts: Artifacts) -> None:
    """A session beyond the newest two goes from both trees, and its waves are not made again."""
    for name, age_s in (("a", 300), ("b", 200), ("c", 100)):
        store(artifacts, name, age_s=age_s)

    with serving(artifacts, with_waves=False, waves_keep_last="2") as live:
        until(lambda: gone(artifacts, "a"), "the oldest goes")
        wait_for_a_look(artifacts, "canary", "waves")
        until(lambda: gauges(live)["freed_bytes"] == 2002, "what went is unlinked, and told")
        kept, shown = stored(artifacts), gauges(live)

    assert {"tts": ["b", "c"], "waves": ["b", "c"], "trash": []} == kept
    assert (2000, 2002) == (shown["speech_bytes"], shown["freed_bytes"])


def test_what_cannot_go_is_told_once_and_tried_again(artifacts: Artifacts) -> None:
    """A refused session is one line in the log, however often it is tried; then it goes."""
    speech, _ = store(artifacts, "a", age_s=300)
    with ExitStack() as refusal, capture_logs() as logs:
        refusal.enter_context(refusing(speech))
        with serving(artifacts, with_waves=False, waves_ttl_h="0.01") as live:
            until(lambda: state(live) == "degraded", "it is refused")
            for look in range(3):
                wait_for_a_look(artifacts, f"canary-{look}", "waves")
            stood = [not gone(artifacts, "a", trees=(tree,)) for tree in TREES]
            refusal.close()
            until(lambda: gone(artifacts, "a"), "it goes")
            until(lambda: state(live) == "ok", "all is well again")

    assert [True, True] == stood
    told = [log for log in logs if "cannot be removed" in log["event"]]
    assert [("tts/a", True), ("waves/a", True)] == [
        (log["what"], "PermissionError" in log["problem"]) for log in told
    ]


def test_a_trash_that_was_emptied_is_told_of_again(artifacts: Artifacts) -> None:
    """The trash that cannot be emptied degrades the plugin and is one line, each time anew."""
    left = artifacts.root / ".trash" / "left"
    left.parent.mkdir(parents=True)
    states: list[str] = []
    host = Host(artifacts, lambda state, _: states.append(state), "retention")
    keeper = Keeper(host, Policy(), 0.001, lambda _: None)
    with capture_logs() as logs:
        for round_ in range(2):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Path, "unlink", _refused)
                left.touch()
                if not round_:
                    keeper.start()
                until(lambda: states[-1:] == ["degraded"], "the trash cannot be emptied")
            until(lambda: states[-1] == "ok", "it can")
        keeper.end()
        keeper.join()

    assert [1, 1] == [log["sessions"] for log in logs if log["event"].startswith("the trash")]


def _refused(path: Path) -> None:
    raise PermissionError(13, "The process cannot access the file", str(path))


def state(live: LiveServer) -> str:
    """Return how the plugin is."""
    status = live.app.state.hosting.board.get("retention")
    return str(status.state)


def test_what_a_kill_left_in_the_trash_goes_at_start(artifacts: Artifacts) -> None:
    """The trash is emptied when the server starts, long before anything is looked at."""
    left = artifacts.root / ".trash" / "tts-session-1-0a1b2c" / "turn_1"
    left.mkdir(parents=True)
    (left / "slot-1.wav").write_bytes(b"x")

    with serving(artifacts, with_waves=False, interval_s="86400"):
        until(lambda: not left.exists(), "the trash is emptied")


def test_it_is_off_until_it_is_switched_on(tmp_path: Path) -> None:
    """A server with the settings as they come removes nothing, for the plugin is disabled."""
    app = create_app(Settings(artifacts_dir=tmp_path), [Discovered("retention", plugin)])

    assert "disabled" == app.state.hosting.board.get("retention").state


def test_without_a_limit_it_says_that_it_does_nothing(artifacts: Artifacts) -> None:
    """Switched on with no limit set, it warns and removes nothing."""
    store(artifacts, "a", age_s=1e7)
    with capture_logs() as logs, serving(artifacts, with_waves=False):
        add_newer(artifacts, "b")

    assert ["a", "b"] == stored(artifacts)["tts"]
    assert any("no limit is set" in log["event"] for log in logs)


SESSIONS = 1000


async def test_a_thousand_sessions_leave_no_lease(artifacts: Artifacts) -> None:
    """A session is held from its start to its last outcome, and nothing of it is kept then."""
    host = Host(artifacts, lambda state, reason: None, "retention")
    host.board.open_service("waves", None)
    held: list[bool] = []
    with sessions_held(host):
        for number in range(SESSIONS):
            name = f"session-{number}"
            path = artifacts.sessions("tts") / name / "turn_1" / "slot-1.wav"
            source = TtsWritten(
                name, 1, "response", 1, "x", "y", None, path, artifacts.relative(path), NOW
            )
            emit(session_started, None, SessionStarted(name, (1,), NOW))
            held.append(name in host.leases)
            emit(tts_written, None, source)
            emit(session_finished, None, SessionFinished(name, (), NOW))
            held.append(name in host.leases)
            emit(waves_failed, None, WavesFailed(source, "timeout", "60 s", 0, 0))
            held.append(name not in host.leases)
        after = len(host.leases)
        emit(session_started, None, SessionStarted("last", (1,), NOW))

    assert 3 * SESSIONS == sum(held)
    assert 0 == after
    assert 0 == len(host.leases), "held although the plugin has stopped"
