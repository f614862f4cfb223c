"""A session is recorded while it runs, and played again to the plugins that present."""

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered
from backend.tracking import RECORDING_FILE
from plugins.recorder.replays import PAUSE_S
from plugins.recorder.settings import plugin as recorder
from plugins.show.settings import plugin as show
from plugins.stream.settings import plugin as stream
from plugins.waves.settings import plugin as waves
from tests.live import LiveServer, chat, get
from tests.patience import until
from tests.plugins.show.listening import Listener

pytestmark = pytest.mark.e2e

PLUGINS = [
    Discovered("waves", waves),
    Discovered("show", show),
    Discovered("stream", stream),
    Discovered("recorder", recorder),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LiveServer]:
    with LiveServer(create_app(Settings(artifacts_dir=root, seed=1), PLUGINS)) as live:
        yield live


@pytest.fixture(scope="module")
def recorded(server: LiveServer, root: Path) -> str:
    """Return a session whose signals are all written."""
    session_id: str = chat(server, 1, 2)[0][1]["sessionId"]
    file = root / "tts" / "sessions" / session_id / RECORDING_FILE
    until(lambda: file.exists() and file.read_bytes().count(b"waves_") >= 6, "its waves")
    return session_id


def replay(server: LiveServer, **request: Any) -> Any:
    with server.client() as client:
        answer = client.post("/v1/replays", json=request)
        assert 201 == answer.status_code, answer.text
        path = f"/v1/replays/{answer.json()['id']}"
        until(lambda: not client.get(path).json()["running"], "the end of the replay")
        return client.get(path).json()


def files(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_every_signal_of_a_session_is_recorded(root: Path, recorded: str) -> None:
    """The file has a header, then the signals in their order, with their times."""
    lines = (root / "tts" / "sessions" / recorded / RECORDING_FILE).read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]

    assert {"schema": 1, "sessionId": recorded} == rows[0]
    names = [row["signal"] for row in rows[1:]]
    assert ["event_published", "session_started"] == names[:2]
    assert (1, 6, 3, 1) == tuple(
        names.count(name)
        for name in ("session_started", "tts_written", "turn_finished", "session_finished")
    )
    assert 6 == names.count("waves_written") + names.count("waves_failed")
    times = [row["t"] for row in rows[1:]]
    assert sorted(times) == times
    assert {"workflow", "session stream", "plugin waves"} == {row["sender"] for row in rows[1:]}


def test_a_replay_tells_clients_all_again(server: LiveServer, root: Path, recorded: str) -> None:
    """It has a session id of its own, says what it replays, and changes no file."""
    before = files(root)
    with Listener(server) as listener:
        state = replay(server, sessionId="last", speed=None)
        told = listener.wait_for("session.waves.ready")

    assert {state["sessionId"]} == {one["sessionId"] for one in told if one["sessionId"]}
    assert (recorded, ["show", "stream"], {}) == (
        state["replayedFrom"],
        state["to"],
        state["skipped"],
    )
    assert state["signals"] == state["emitted"]
    assert 6 == sum(one["type"] == "utterance.waves.ready" for one in told)
    stream_ = get(server.port, f"/v1/sessions/{state['sessionId']}/events").body.decode()
    assert f'"replayedFrom":"{recorded}"' in stream_
    assert recorded in stream_.split("audioPath", 1)[1]  # the files are those of the session
    assert before == files(root)


def test_a_replay_keeps_the_times(server: LiveServer, recorded: str) -> None:
    """At twice the speed it takes half as long, and what comes before `fromS` is left out."""
    state = replay(server, sessionId=recorded, speed=1000, fromS=0.2)

    assert state["emitted"] < state["signals"]


def test_a_loop_begins_again_until_it_is_stopped(server: LiveServer, recorded: str) -> None:
    """Each round is a session of its own; however fast it is, it rests between two."""
    began_at = monotonic()
    with server.client() as client:
        request = {"sessionId": recorded, "speed": 1000, "loop": True}
        path = f"/v1/replays/{client.post('/v1/replays', json=request).json()['id']}"
        until(lambda: client.get(path).json()["rounds"] >= 2, "two rounds")
        assert monotonic() - began_at >= PAUSE_S
        assert 204 == client.delete(path).status_code
        assert not client.get(path).json()["running"]


def test_a_replay_that_is_stopped_ends_its_session(server: LiveServer, recorded: str) -> None:
    """What was spoken has its waves, the stream is done, and no tracker waits any more."""
    with Listener(server, dialect="full") as listener, server.client() as client:
        answer = client.post("/v1/replays", json={"sessionId": recorded, "speed": 0.1})
        told = listener.wait_for("slot.audio")
        assert 204 == client.delete(f"/v1/replays/{answer.json()['id']}").status_code
        told += listener.wait_for("session.waves.ready")

    types = [one["type"] for one in told]
    assert 1 <= types.count("slot.audio") == types.count("utterance.waves.ready") < 6
    assert {"completedSlots": 0, "turns": 3} == {
        name: value
        for name, value in told[types.index("done")]["payload"].items()
        if name != "sessionId"
    }
    assert "complete" == told[-1]["payload"]["status"]
    events = get(server.port, f"/v1/sessions/{told[-1]['sessionId']}/events").body.decode()
    assert 1 == events.count("event: done")
    gauges = server.app.state.hosting.board.gauges
    shown = [one.read() for one in gauges if (one.plugin, one.name) == ("show", "sessions")]
    assert [0] == shown


def copied(root: Path, recorded: str, number: int, *left_out: bytes) -> tuple[str, list[bytes]]:
    """Record a session again under another id, without some lines; return it and these."""
    session_id = f"20200101T000000Z-{number:08x}"
    file = root / "tts" / "sessions" / session_id / RECORDING_FILE
    file.parent.mkdir()
    contents = (root / "tts" / "sessions" / recorded / RECORDING_FILE).read_bytes()
    lines = contents.replace(recorded.encode(), session_id.encode()).splitlines(keepends=True)
    out = [line for line in lines if any(part in line for part in left_out)]
    file.write_bytes(b"".join(line for line in lines if line not in out))
    return session_id, out


def test_a_recording_without_its_end_ends_too(
    server: LiveServer, root: Path, recorded: str
) -> None:
    """That of a server that was killed: it tells which waves there are not, and is over."""
    ends = (b'"waves_', b'"session_finished"', b'"name":"done"')
    session_id, out = copied(root, recorded, 1, *ends)
    with Listener(server, dialect="full") as listener:
        replay(server, sessionId=session_id, speed=None)
        told = listener.wait_for("session.waves.ready")

    assert 8 == len(out)
    assert 1 == sum(one["type"] == "done" for one in told)
    missing = told[-1]["payload"]["missing"]
    assert ["not_recorded"] * 6 == [one["reason"] for one in missing]


def test_waves_that_are_made_meanwhile_are_told(
    server: LiveServer, root: Path, recorded: str
) -> None:
    """A session can be replayed before all its waves are made."""
    session_id, _ = copied(root, recorded, 2, b'"waves_')
    (root / "waves" / "sessions" / session_id).symlink_to(root / "waves" / "sessions" / recorded)
    _, made = copied(root, recorded, 3, b'"waves_')
    with Listener(server, dialect="full") as listener, server.client() as client:
        client.post("/v1/replays", json={"sessionId": session_id, "speed": 0.1})
        listener.wait_for("turn.start")
        with (root / "tts" / "sessions" / session_id / RECORDING_FILE).open("ab") as file:
            file.write(b"".join(made).replace(b"-00000003", b"-00000002"))
        told = listener.wait_for("session.waves.ready")

    assert 6 == sum(one["type"] == "utterance.waves.ready" for one in told)


def test_a_replay_with_a_lease_ends_when_nobody_asks(server: LiveServer, recorded: str) -> None:
    """Its command was killed; as long as it is asked for, it goes on for longer than its lease."""
    with server.client() as client:
        request = {"sessionId": recorded, "speed": None, "loop": True, "leaseS": 2}
        id_ = client.post("/v1/replays", json=request).json()["id"]
        path = f"/v1/replays/{id_}"
        until(lambda: client.get(path).json()["rounds"] >= 4, "more than two seconds")
        assert client.get(path).json()["running"]

        def is_over() -> bool:
            return {id_: False}.items() <= {
                one["id"]: one["running"] for one in client.get("/v1/replays").json()
            }.items()

        until(is_over, "the end of its lease")


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"sessionId": "20200101T000000Z-00000000"}, 404, "no signals were recorded"),
        ({"sessionId": "../../etc"}, 404, ""),
        ({"to": ["waves"]}, 409, "waves: a replay is only sent to running plugins that present"),
        ({"fromS": 9999}, 409, "the session has"),
        ({"speed": 0}, 422, ""),
    ],
)
def test_what_cannot_be_replayed_is_told(
    server: LiveServer, recorded: str, request_: Any, status: int, words: str
) -> None:
    """No session, no such plugin, a plugin that makes files, a wrong time."""
    with server.client() as client:
        answer = client.post("/v1/replays", json=request_)

    assert status == answer.status_code
    assert words in answer.json()["detail"]
