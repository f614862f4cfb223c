"""The manifest of a session."""

import json
import threading
from pathlib import Path

from backend.sessions import (
    Manifest,
    Utterance,
    mark_interrupted,
    save,
)
from backend.storage import Artifacts


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
    (artifacts.sessions("tts") / "no-manifest").mkdir()
    (artifacts.sessions("tts") / "no-directory").touch()
    untouched = finished.path(artifacts).stat()

    mark_interrupted(artifacts, ["gone", *artifacts.session_ids("tts")], threading.Event())

    running.status = "interrupted"
    assert running.to_json() == running.path(artifacts).read_bytes()
    assert untouched == finished.path(artifacts).stat()
    assert ["no-manifest", "b", "a"] == artifacts.session_ids("tts")
    assert [] == list(artifacts.temporary.iterdir())
