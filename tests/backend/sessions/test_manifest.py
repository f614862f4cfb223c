"""Session ids, file names and the manifest."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.errors import ArtifactError
from backend.sessions import (
    Manifest,
    Utterance,
    earlier_sessions,
    mark_interrupted,
    new_session_id,
    save,
    wav_name,
)
from backend.storage import Artifacts, safe_part


def test_ids_sort_by_time_and_are_safe_names() -> None:
    """A later session's id comes later in a listing, and no two are alike."""
    start = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    ids = [new_session_id(start + timedelta(seconds=number)) for number in range(50)]

    assert ids == sorted(ids)
    assert ids == [safe_part(session_id) for session_id in ids]
    assert 200 == len({new_session_id(start) for _ in range(200)})


def test_files_are_named_by_slot_turn_agent_and_voice() -> None:
    """The three kinds of utterance have the names TouchDesigner relies on."""
    assert "slot-1_gpt-5.2_calm_soothing.wav" == wav_name(1, "response", "gpt-5.2", "calm_soothing")
    assert "slot-2_comment_to_slot-6_gpt-4o_calm_soothing.wav" == wav_name(
        2, "comment", "gpt-4o", "calm_soothing", 6
    )
    assert "slot-3_reply_gemini-3_calm_soothing.wav" == wav_name(
        3, "reply", "gemini-3", "calm_soothing"
    )


@pytest.mark.parametrize("agent_id", ["../x", "a/b", "a\\b", "a\0b", "a:b", "x" * 300])
def test_an_agent_id_cannot_lead_out_of_the_directory(agent_id: str) -> None:
    """A name that is not plain is refused, wherever it came from."""
    with pytest.raises(ArtifactError):
        wav_name(1, "response", agent_id, "calm_soothing")


def test_the_manifest_is_rewritten_whole(tmp_path: Path) -> None:
    """The manifest lists utterances by turn and slot and leaves no temporary file."""
    artifacts = Artifacts(tmp_path)
    manifest = Manifest("20261122T000000Z-00000000", {1: "gpt-4o", 2: "gpt-5.1"}, "now")
    for turn_index, slot_id in ((2, 1), (1, 2), (1, 1)):
        manifest.utterances.append(
            Utterance(turn_index, "response", slot_id, "gpt-4o", "Wärme", "calm_soothing")
        )

    save(manifest, artifacts)
    save(manifest, artifacts)
    written = json.loads(manifest.path(artifacts).read_text(encoding="utf-8"))

    assert [(1, 1), (1, 2), (2, 1)] == [
        (row["turn_index"], row["slot_id"]) for row in written["utterances"]
    ]
    assert "Wärme" == written["utterances"][0]["text"]
    assert [] == list(artifacts.temporary.iterdir())


def test_the_sessions_of_a_dead_process_were_interrupted(tmp_path: Path) -> None:
    """What says "running" comes to say "interrupted"; nothing else changes, nothing is made."""
    artifacts = Artifacts(tmp_path)
    running, finished = Manifest("a", {1: "gpt"}, "now"), Manifest("b", {}, "now", "finished")
    text = 'she said "status": "running"'
    running.utterances.append(Utterance(1, "response", 1, "gpt", text, "calm"))
    for manifest in (running, finished):
        save(manifest, artifacts)
    (artifacts.sessions("tts") / "no manifest").mkdir()
    (artifacts.sessions("tts") / "no directory").touch()
    untouched = finished.path(artifacts).stat()

    mark_interrupted(artifacts, ["gone", *earlier_sessions(artifacts)], threading.Event())

    running.status = "interrupted"
    assert running.to_json() == running.path(artifacts).read_bytes()
    assert untouched == finished.path(artifacts).stat()
    assert ["a", "b", "no directory", "no manifest"] == sorted(earlier_sessions(artifacts))
    assert [] == list(artifacts.temporary.iterdir())
