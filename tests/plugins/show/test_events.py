"""`/v1/events` as a client sees it: real sessions, real waves, a real server."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from backend.config import Settings
from backend.http.app import create_app
from tests.live import Data, LiveServer, Sequence, chat, get
from tests.plugins.show.listening import Listener, found, in_short

pytestmark = pytest.mark.e2e

FAR = 1 << 50


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LiveServer]:
    """Return a server with the real waves and the show."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RR_WAVES_BACKFILL_INTERVAL_S", "0")
        patch.setenv("RR_SHOW_HEARTBEAT_S", "0.1")
        app = create_app(Settings(artifacts_dir=root, seed=1), found("waves", "show"))
    with LiveServer(app) as live:
        yield live


@pytest.fixture(scope="module")
def visit(server: LiveServer) -> tuple[Sequence, list[Data]]:
    """Return one session of three slots: what the visitor was sent, and what the show was told."""
    with Listener(server) as listener:
        heard = chat(server, 1, 2, 3)
        return heard, listener.events()


@pytest.fixture
def told(visit: tuple[Sequence, list[Data]]) -> list[Data]:
    """Return what the show was told."""
    return visit[1]


def test_a_session_is_told_in_a_playable_order(visit: tuple[Sequence, list[Data]]) -> None:
    """First that it is expected, then its parts, each after what it is made of, last the whole."""
    heard, told = visit
    short = [in_short(event) for event in told]
    spoken = [(d["turnIndex"], d["slotId"]) for name, d in heard if name == "slot.audio"]
    replying = [slot for turn, slot in spoken if turn == 3]

    assert ("session.expected", "session complete") == (short[0], short[-1])
    assert sorted(
        [
            "session.expected",
            *(f"utterance {turn} {slot}" for turn, slot in spoken),
            *(f"turn {turn} complete" for turn in (1, 2, 3)),
            *(f"dialogue {slot} complete" for slot in replying),
            "session complete",
        ]
    ) == sorted(short)
    turns = [short.index(f"turn {turn} complete") for turn in (1, 2, 3)]
    assert turns == sorted(turns)
    for turn, slot in spoken:
        assert short.index(f"utterance {turn} {slot}") < short.index(f"turn {turn} complete")
    for slot in replying:
        assert short.index(f"utterance 3 {slot}") < short.index(f"dialogue {slot} complete")


def test_events_are_numbered_without_gaps(told: list[Data]) -> None:
    """`seq` counts from 1 within the session, `cursor` by one over all; times never go back."""
    assert list(range(1, len(told) + 1)) == [event["seq"] for event in told]
    assert {1} == {later["cursor"] - one["cursor"] for one, later in pairwise(told)}
    assert 1 == len({event["sessionId"] for event in told})
    assert sorted(event["ts"] for event in told) == [event["ts"] for event in told]


def test_every_wave_can_be_opened_and_fetched(
    told: list[Data], server: LiveServer, root: Path
) -> None:
    """Its path is absolute and there, its figures are the file's, and its URL serves it."""
    ready = [event["payload"] for event in told if event["type"] == "utterance.waves.ready"]
    waves = [wave for payload in ready for wave in payload["waves"]]

    assert [1, 2, 3] * len(ready) == [wave["wave"] for wave in waves]
    for wave in waves:
        path = Path(wave["path"])
        samples, _ = sf.read(path)
        assert path.is_absolute()
        peak, rms = np.max(np.abs(samples)), np.sqrt(np.mean(samples**2))
        assert (len(samples), 8000) == (wave["frames"], wave["sampleRate"])
        assert [peak, rms] == pytest.approx([wave["peak"], wave["rms"]], abs=1e-6)
        assert 0 < wave["rms"] < wave["peak"] <= 1
        assert wave["durationMs"] == round(len(samples) / 8)
        assert wave["url"] == f"http://127.0.0.1:8000/v1/audio/{path.relative_to(root).as_posix()}"
    answer = get(server.port, waves[0]["url"].removeprefix("http://127.0.0.1:8000"))
    assert (200, Path(waves[0]["path"]).read_bytes()) == (answer.status, answer.body)
    for payload in ready:
        assert Path(payload["audioPath"]).is_file()
        assert payload["audioUrl"].endswith(".wav")
        assert payload["readyMs"] > 0
        assert not payload["backfill"]


def test_a_dialogue_is_the_comments_and_then_the_reply(told: list[Data]) -> None:
    """Per replying slot: those who commented on it, by slot, and what it answered."""
    dialogues = [e["payload"] for e in told if e["type"] == "dialogue.waves.ready"]
    comments = [
        (e["payload"]["targetSlotId"], e["payload"]["slotId"])
        for e in told
        if e["type"] == "utterance.waves.ready" and e["payload"]["kind"] == "comment"
    ]

    assert dialogues
    for dialogue in dialogues:
        slot = dialogue["slotId"]
        commenters = sorted(one for target, one in comments if target == slot)
        assert commenters == dialogue["commenters"]
        *before, last = dialogue["utterances"]
        assert [("comment", one) for one in commenters] == [
            (u["kind"], u["slotId"]) for u in before
        ]
        assert ("reply", slot) == (last["kind"], last["slotId"])


def test_the_timeline_plays_one_after_the_other(told: list[Data]) -> None:
    """Each utterance starts where the one before it ended, by turn and slot; the sum is told."""
    payload = told[-1]["payload"]
    timeline = payload["timeline"]

    places = [(cue["turnIndex"], cue["slotId"]) for cue in timeline]
    assert sorted(places) == places
    assert 0 == timeline[0]["offsetMs"]
    for one, later in pairwise(timeline):
        assert later["offsetMs"] == one["offsetMs"] + one["durationMs"]
    assert payload["durationMs"] == timeline[-1]["offsetMs"] + timeline[-1]["durationMs"]
    assert [] == payload["missing"]
    assert all(3 == len(cue["waves"]) for cue in timeline)


def test_a_client_can_come_back_at_every_event(told: list[Data], server: LiveServer) -> None:
    """With the cursor of any event it gets exactly those after it, then what happens."""
    for number, event in enumerate(told, start=1):
        with Listener(server, event["cursor"]) as listener:
            assert len(told) - number == listener.ack["payload"]["replayed"]
            assert told[number:] == listener.take(len(told) - number)
            assert "heartbeat" == listener.next()["type"]


def test_a_client_of_the_first_hour_gets_everything(told: list[Data], server: LiveServer) -> None:
    """Cursor 0 is before everything; none is nothing; one of the future is a gap."""
    with Listener(server, 0) as listener:
        assert told == listener.take(len(told))
    with Listener(server) as listener:
        assert 0 == listener.ack["payload"]["replayed"]
        assert "heartbeat" == listener.next()["type"]
    with Listener(server, FAR) as listener:
        assert {"asked": FAR, "oldest": told[0]["cursor"]} == listener.next()["payload"]
        assert told == listener.take(len(told))


def test_a_silent_client_just_receives(server: LiveServer) -> None:
    """Without any hello heartbeats come, with the latest cursor and the name of the run."""
    with Listener(server, silent=True) as silent, Listener(server) as other:
        beat = silent.next()

    assert ("heartbeat", None, None) == (beat["type"], beat["sessionId"], beat["seq"])
    assert other.ack["cursor"] == beat["cursor"]
    assert {"run": other.ack["payload"]["run"], "intervalS": 0.1} == beat["payload"]


def test_the_description_is_that_of_what_is_sent(told: list[Data], server: LiveServer) -> None:
    """Every message of a session is valid by `/v1/asyncapi.json`, and a changed one is not."""
    jsonschema_rs = pytest.importorskip(
        "jsonschema_rs", reason="needs jsonschema-rs: uv run --group e2e pytest -m e2e"
    )
    document = json.loads(get(server.port, "/v1/asyncapi.json").body)
    with Listener(server, FAR) as listener:
        control = [listener.ack, listener.next()]
        listener.say("hello")
        control.append(listener.wait_for("hello.refused")[-1])
        control.append(listener.wait_for("heartbeat")[-1])

    def validator(name: str) -> Any:
        reference = {"$ref": f"#/components/messages/{name}/payload"}
        return jsonschema_rs.validator_for({**document, **reference})

    assert "3.0.0" == document["asyncapi"]
    assert "/v1/events" == document["channels"]["events"]["address"]
    for message in [*told, *control]:
        validator(message["type"]).validate(message)
        assert not validator(message["type"]).is_valid({**message, "seq": "one"})
        assert not validator(message["type"]).is_valid({**message, "payload": {}})
    assert {"hello.ack", "hello.refused", "replay.gap", "heartbeat"} == {
        message["type"] for message in control
    }
    validator("hello").validate({"type": "hello", "cursor": 1})
    assert not validator("hello").is_valid({"type": "hello", "cursor": -1})


def test_every_reference_of_the_description_leads_somewhere(server: LiveServer) -> None:
    """Each $ref is a place in the document, and each message sent is declared."""
    document = json.loads(get(server.port, "/v1/asyncapi.json").body)

    def references(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            for part in value.values():
                yield from references(part)
        elif isinstance(value, list):
            for part in value:
                yield from references(part)

    found_references = set(references(document))
    assert len(found_references) > 20
    for reference in found_references:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    assert "127.0.0.1:8000" == document["servers"]["show"]["host"]
