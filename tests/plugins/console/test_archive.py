"""The sessions that are kept: page by page, by day, by words, and one with all that is known."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import discover
from backend.sessions import Manifest, Utterance, save
from backend.storage import Artifacts, wave_names
from tests.live import LiveServer, chat

START = "2026-11-29T10:00:00+00:00"


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Return an empty artifacts root."""
    return Artifacts(tmp_path)


@pytest.fixture
def server(artifacts: Artifacts) -> Iterator[LiveServer]:
    """Return a server with the console alone."""
    found = [item for item in discover() if item.name == "console"]
    with LiveServer(create_app(Settings(artifacts_dir=artifacts.root, seed=1), found)) as live:
        yield live


def asked(server: LiveServer, path: str = "", **query: Any) -> dict[str, Any]:
    """Return the answer of `/v1/sessions`."""
    with server.client() as client:
        answer = client.get(f"/v1/sessions{path}", params=query)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def ids(page: dict[str, Any]) -> list[str]:
    """Return the ids of a page."""
    return [session["sessionId"] for session in page["sessions"]]


def id_of(number: int, day: str = "20261129") -> str:
    """Return a session's id; a greater number is later."""
    return f"{day}T{number // 3600:02}{number // 60 % 60:02}{number % 60:02}Z-{number:08x}"


def keep(artifacts: Artifacts, session_id: str, *texts: str, waves: int = 0, **more: Any) -> str:
    """Write a session of these texts, the first of them with waves; return its id."""
    rows = [
        Utterance(
            turn_index=1,
            kind="response",
            slot_id=number,
            agent_id="gpt-4o",
            text=text,
            voice_profile="calm_soothing",
            audio_path=f"tts/sessions/{session_id}/turn_1/slot-{number}_gpt-4o_calm_soothing.wav",
            duration_s=1.5,
            written_at=START,
        )
        for number, text in enumerate(texts, start=1)
    ]
    fields = {"status": "finished", "finished_at": START, **more}
    save(Manifest(session_id, {1: "gpt-4o"}, START, utterances=rows, **fields), artifacts)
    turn = artifacts.turn("waves", session_id, 1)
    turn.mkdir(parents=True)
    for number in range(1, waves + 1):
        for name in wave_names(f"slot-{number}_gpt-4o_calm_soothing"):
            (turn / name).touch()
    return session_id


def test_an_empty_archive_has_no_session(server: LiveServer) -> None:
    """Before the first session there is not even a folder."""
    assert {"sessions": [], "next": None} == asked(server)


def test_a_session_of_this_server_is_kept(server: LiveServer) -> None:
    """What a visitor was told stands in the archive, utterance by utterance."""
    told = chat(server, 1, 2)
    server.settle()
    session_id = told[0][1]["sessionId"]

    (row,) = asked(server)["sessions"]
    session = asked(server, f"/{session_id}")

    done = {(d["turnIndex"], d["slotId"]): d for name, d in told if name == "slot.done"}
    audio = {(d["turnIndex"], d["slotId"]): d for name, d in told if name == "slot.audio"}
    kept = {(one["turnIndex"], one["slotId"]): one for one in session["utterances"]}
    assert {key: one["text"] for key, one in done.items()} == {
        key: one["text"] for key, one in kept.items()
    }
    assert {key: one["audioPath"] for key, one in audio.items()} == {
        key: one["audioPath"] for key, one in kept.items()
    }
    assert (session_id, "finished", False) == (row["sessionId"], row["status"], row["spoken"])
    assert (len(kept), 0) == (row["utterances"], row["withWaves"])
    assert [1, 2] == [slot["slotId"] for slot in row["slots"]]
    assert kept[1, 1]["text"].startswith(row["excerpt"].removesuffix(" ..."))


def test_pages_are_newest_first_and_overlap_nowhere(
    server: LiveServer, artifacts: Artifacts
) -> None:
    """`next` leads through all of them, also when newer ones come meanwhile."""
    all_ids = [keep(artifacts, id_of(number), "Water.") for number in range(7)]

    first = asked(server, limit=3)
    keep(artifacts, id_of(99), "Later.")
    second = asked(server, limit=3, before=first["next"])
    third = asked(server, limit=3, before=second["next"])

    assert [all_ids[:-4:-1], all_ids[3:0:-1], all_ids[:1]] == [ids(first), ids(second), ids(third)]
    assert third["next"] is None


def test_a_day_has_its_sessions(server: LiveServer, artifacts: Artifacts) -> None:
    """Those that began on it, wherever it begins: ids are asked for from one moment to another."""
    for day in ("20261128", "20261129", "20261130"):
        for number in (1, 3700):
            keep(artifacts, id_of(number, day), "Water.")

    hour_late = {"since": "20261129T010000Z", "before": "20261130T010000Z"}
    assert [id_of(1, "20261130"), id_of(3700, "20261129")] == ids(asked(server, **hour_late))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("water", [2, 1]),
        ("WATER stone", [1]),
        ("water nothing", []),
        ("straße", [3]),
        ('say "yes"', [3]),
        (" ", [3, 2, 1]),
    ],
)
def test_words_are_all_in_what_was_said(
    server: LiveServer, artifacts: Artifacts, words: str, found: list[int]
) -> None:
    """In any utterance of the session, whatever their case."""
    keep(artifacts, id_of(1), "A stone.", "The water under it.")
    keep(artifacts, id_of(2), "Water.")
    keep(artifacts, id_of(3), 'In the STRASSE they say "yes".')

    assert [id_of(number) for number in found] == ids(asked(server, q=words))


def test_a_search_goes_on_with_the_next_page(server: LiveServer, artifacts: Artifacts) -> None:
    """It reads on until the page is full, past sessions that have other words."""
    for number in range(20):
        keep(artifacts, id_of(number), "water" if number % 3 == 0 else "stone")

    first = asked(server, q="water", limit=4)
    second = asked(server, q="water", limit=4, before=first["next"])

    assert [id_of(n) for n in (18, 15, 12, 9)] == ids(first)
    assert ([id_of(n) for n in (6, 3, 0)], None) == (ids(second), second["next"])


def test_an_excerpt_shows_what_was_searched_for(server: LiveServer, artifacts: Artifacts) -> None:
    """Without a search it is the beginning of the first utterance."""
    keep(artifacts, id_of(1), "one " * 60, "two " * 60 + "water " + "three " * 60)

    plain = asked(server)["sessions"][0]["excerpt"]
    found = asked(server, q="WATER")["sessions"][0]["excerpt"]

    assert plain.startswith("one one")
    assert "water" in found
    assert max(len(plain), len(found)) <= 130


def test_waves_are_those_that_stand_there(server: LiveServer, artifacts: Artifacts) -> None:
    """V3's three, then those of other profiles, or none; a reason is what the record says."""
    session_id = keep(artifacts, id_of(1), "One.", "Two.", "Three.", waves=2)
    turn = artifacts.turn("waves", session_id, 1)
    (turn / wave_names("slot-2_gpt-4o_calm_soothing")[1]).unlink()
    for slot in (1, 2):
        (turn / f"slot-{slot}_gpt-4o_calm_soothing_slots_wave1.wav").touch()
    source = f"tts/sessions/{session_id}/turn_1/slot-2_gpt-4o_calm_soothing.wav"
    record = {"utterances": [{"source": source, "status": "failed", "reason": "timeout"}]}
    (turn.parent / "session.json").write_text(json.dumps(record))

    (row,) = asked(server)["sessions"]
    first, second, third = asked(server, f"/{session_id}")["utterances"]

    assert (3, 1) == (row["utterances"], row["withWaves"])
    stem = f"waves/sessions/{session_id}/turn_1/slot-1_gpt-4o_calm_soothing_v3_wave"
    others = [f"{stem.removesuffix('v3_wave')}slots_wave1.wav"]
    assert [f"{stem}{number}.wav" for number in (1, 2, 3)] + others == first["waves"]
    assert ([], "timeout") == (second["waves"], second["wavesReason"])
    assert ([], None) == (third["waves"], third["wavesReason"])


BROKEN = {
    "empty": b"",
    "half": b'{"session_id": "',
    "another": b'{"sessions": []}',
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"session_id": "\xff"}',
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_manifest_is_left_out(
    server: LiveServer, artifacts: Artifacts, case: str
) -> None:
    """The sessions beside it are listed; it is 404 itself."""
    for name in (id_of(1), "-foreign", "foreign.name"):
        path = artifacts.sessions("tts") / name / "session.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(BROKEN[case])
    keep(artifacts, id_of(2), "Water.")
    keep(artifacts, id_of(3), "Moved.")
    shutil.move(artifacts.session("tts", id_of(3)), artifacts.sessions("tts") / id_of(4))
    (artifacts.sessions("tts") / id_of(5)).touch()

    with server.client() as client:
        missing = [client.get(f"/v1/sessions/{id_of(n)}").status_code for n in (1, 3, 4, 5)]

    assert ([id_of(2)], [404] * 4) == (ids(asked(server)), missing)


def test_a_session_that_is_deleted_is_gone(server: LiveServer, artifacts: Artifacts) -> None:
    """Neither listed nor found, also while its folder still stands."""
    keep(artifacts, id_of(1), "Water.")
    (artifacts.session("tts", id_of(1)) / "session.json").unlink()

    assert [] == ids(asked(server))
    with server.client() as client:
        assert 404 == client.get(f"/v1/sessions/{id_of(1)}").status_code


@pytest.mark.parametrize("path", ["..%2f..%2fsecret", ".hidden", "%00", "a" * 300])
def test_a_name_of_another_kind_is_404(server: LiveServer, path: str) -> None:
    """It leads to no other file."""
    with server.client() as client:
        assert 404 == client.get(f"/v1/sessions/{path}").status_code


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "since=" + "x" * 201, "q=" + "x" * 201],
)
def test_a_wrong_question_is_refused(server: LiveServer, query: str) -> None:
    """422 names the field."""
    with server.client() as client:
        answer = client.get(f"/v1/sessions?{query}")

    assert 422 == answer.status_code
    assert query.partition("=")[0] in answer.json()["detail"]


def test_who_spoke_is_told_from_who_typed(server: LiveServer, artifacts: Artifacts) -> None:
    """A session of a recording has its id in the manifest; texts that are not kept are empty."""
    keep(artifacts, id_of(1), "", heard_id="heard-1", status="interrupted", finished_at=None)

    (row,) = asked(server)["sessions"]

    assert (True, "interrupted", None, "") == (
        *(row["spoken"], row["status"]),
        *(row["finishedAt"], row["excerpt"]),
    )
