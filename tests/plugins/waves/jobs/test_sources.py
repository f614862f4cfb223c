"""Who spoke a recording that is found on the disk."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.signals import Kind
from backend.storage import Artifacts, SpeechName
from plugins.waves.jobs.sources import source_of


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


def recording(artifacts: Artifacts, turn: int, name: str) -> Path:
    path = artifacts.turn("tts", "s-1", turn) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.faults
@pytest.mark.parametrize(
    ("turn", "kind", "slot", "target"),
    [
        (1, "response", 3, None),
        (2, "comment", 3, 5),
        (3, "reply", 3, None),
        (4, "summary", 0, None),
    ],
)
def test_the_files_name_is_enough(
    artifacts: Artifacts, turn: int, kind: Kind, slot: int, target: int | None
) -> None:
    """F32: without a manifest, the name the host gave the file tells who said it to whom."""
    name = str(SpeechName(slot, kind, "claude-sonnet-4-5", "friendly_casual", target))
    path = recording(artifacts, turn, name)

    event = source_of(path, artifacts)

    assert ("s-1", turn, kind) == (event.session_id, event.turn_index, event.kind)
    assert (slot, "claude-sonnet-4-5") == (event.slot_id, event.agent_id)
    assert ("friendly_casual", target) == (event.voice_profile, event.target_slot_id)
    assert (path, f"tts/sessions/s-1/turn_{turn}/{name}") == (event.wav_path, event.audio_path)
    assert event.written_at == datetime.fromtimestamp(path.stat().st_mtime, UTC)


def test_the_manifest_knows_better(artifacts: Artifacts) -> None:
    """What the session's manifest says of a recording wins over its name."""
    path = recording(artifacts, 2, "slot-3_a_b.wav")
    row = {
        "audio_path": artifacts.relative(path), "kind": "comment", "slot_id": 6,
        "agent_id": "under_score", "voice_profile": "calm", "target_slot_id": 1,
        "written_at": "2026-11-22T20:15:00+00:00",
    }  # fmt: skip
    manifest = {"utterances": [{"audio_path": "another"}, row]}
    path.parent.with_name("session.json").write_text(json.dumps(manifest))

    event = source_of(path, artifacts)

    assert ("comment", 6, "under_score") == (event.kind, event.slot_id, event.agent_id)
    assert ("calm", 1) == (event.voice_profile, event.target_slot_id)
    assert datetime(2026, 11, 22, 20, 15, tzinfo=UTC) == event.written_at


@pytest.mark.faults
@pytest.mark.parametrize(
    "manifest",
    [
        b"", b"{", b"null", b"[1]", b'{"utterances": 7}', b'{"utterances": [1, null]}', b"\xff",
        b"[" * 100_000,
        b'{"utterances": [{"audio_path": "tts/sessions/s-1/turn_1/slot-2_gpt_calm.wav", "kind": 1,'
        b' "slot_id": "2", "agent_id": null, "voice_profile": "", "target_slot_id": true,'
        b' "written_at": "yesterday"}]}',
    ],
)  # fmt: skip
def test_a_corrupt_manifest_does_not_matter(artifacts: Artifacts, manifest: bytes) -> None:
    """F32: whatever cannot be true in a manifest is taken from the file's name."""
    path = recording(artifacts, 1, "slot-2_gpt_calm.wav")
    path.parent.with_name("session.json").write_bytes(manifest)

    event = source_of(path, artifacts)

    known: tuple[Any, ...] = (event.kind, event.slot_id, event.agent_id, event.voice_profile)
    assert ("response", 2, "gpt", "calm") == known
    assert event.target_slot_id is None
    assert event.written_at.tzinfo is not None


def test_a_stray_name_is_unknown(artifacts: Artifacts) -> None:
    """A recording somebody copied there by hand has a turn, and nothing else is made up."""
    event = source_of(recording(artifacts, 3, "water.take2.wav"), artifacts)

    assert ("reply", 0, "unknown", "unknown") == (
        event.kind, event.slot_id, event.agent_id, event.voice_profile
    )  # fmt: skip
