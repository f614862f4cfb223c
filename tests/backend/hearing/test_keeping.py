"""What is kept of a recording, and what of it is served."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.errors import ArtifactError
from backend.hearing import Heard, Transcript, Word
from backend.hearing.keeping import keep
from backend.storage import Artifacts

SAID = Transcript("Wärme, wáter", "en", "embedded", (Word("Wärme,", 0.1, 0.5),))
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def kept(artifacts: Artifacts, mime_type: str = "audio/webm") -> tuple[str | None, str | None]:
    heard = keep(artifacts, Heard("h-1", SAID, 1200, mime_type), b"recording", "kiosk 2", NOW)
    return heard.audio_path, heard.transcript_path


def test_a_recording_is_kept_with_its_transcript(tmp_path: Path) -> None:
    """The four files are whole, and no draft is left."""
    artifacts = Artifacts(tmp_path)

    paths = kept(artifacts)

    directory = tmp_path / "stt/sessions/h-1"
    assert ("stt/sessions/h-1/input.webm", "stt/sessions/h-1/transcript.json") == paths
    assert b"recording" == (directory / "input.webm").read_bytes()
    assert "Wärme, wáter\n" == (directory / "transcript.txt").read_text("utf-8")
    words = json.loads((directory / "transcript.json").read_bytes())["words"]
    assert [{"text": "Wärme,", "start_s": 0.1, "end_s": 0.5}] == words
    assert {
        "heard_id": "h-1",
        "label": "kiosk 2",
        "heard_at": "2026-11-29T00:00:00+00:00",
        "duration_ms": 1200,
        "mime_type": "audio/webm",
        "bytes": 9,
        "engine": "embedded",
        "language_code": "en",
    } == json.loads((directory / "metadata.json").read_bytes())
    assert [] == list(artifacts.temporary.iterdir())


def test_only_the_sound_is_served(tmp_path: Path) -> None:
    """Of a recording that is kept, no text and no metadata can be requested."""
    artifacts = Artifacts(tmp_path)

    recording, _ = kept(artifacts)

    served = []
    for path in (tmp_path / "stt/sessions/h-1").iterdir():
        try:
            served.append(artifacts.relative(artifacts.served(artifacts.relative(path))))
        except ArtifactError:
            continue
    assert [recording] == served


@pytest.mark.parametrize(
    ("mime_type", "name"),
    [("audio/mp4", "input.mp4"), ("audio/mpeg", "input.mp3"), ("audio/x-strange", "input.bin")],
)
def test_a_recording_is_named_by_its_container(tmp_path: Path, mime_type: str, name: str) -> None:
    """A container that has no name here is kept too, and not served."""
    recording, _ = kept(Artifacts(tmp_path), mime_type)

    assert f"stt/sessions/h-1/{name}" == recording
