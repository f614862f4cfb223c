"""The artifacts root: what may be served."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.errors import ArtifactError
from backend.storage import Artifacts, new_session_id

SESSION = "20261122T000000Z-00000000"


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Return a root that holds one WAV, a manifest and things that must not be served."""
    root = Artifacts(tmp_path / "artifacts")
    for tree in ("tts", "waves", "other", ".tmp"):
        directory = root.root / tree / "sessions" / SESSION / "turn_1"
        directory.mkdir(parents=True)
        for name in ("slot-1_gpt-5.2_calm_soothing.wav", ".hidden.wav", "session.json", "a.WAV"):
            (directory / name).write_bytes(b"RIFF")
    (root.root / "tts" / "directory.wav").mkdir()
    (root.root / "secret.wav").write_bytes(b"RIFF")
    return root


def test_a_finished_wav_below_tts_and_waves_is_served(artifacts: Artifacts) -> None:
    """The two served trees give out their WAVs."""
    for tree in ("tts", "waves"):
        path = f"{tree}/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav"
        assert path == artifacts.relative(artifacts.served(path))


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "tts",
        "secret.wav",
        "tts/directory.wav",
        "tts//sessions",
        "/etc/passwd",
        "tts/../secret.wav",
        "tts/./x.wav",
        "tts/..\\..\\secret.wav",
        f"tts/sessions/{SESSION}/session.json",
        f"tts/sessions/{SESSION}/turn_1/.hidden.wav",
        f"tts/sessions/{SESSION}/turn_1/a.WAV",
        f"tts/sessions/{SESSION}/turn_1/missing.wav",
        f"other/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav",
        f".tmp/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav",
        f"tts/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav/",
        f"tts/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav\0",
        f"tts/sessions/{SESSION}/turn_1/slot-1_gpt-5.2_calm_soothing.wav\n",
        "tts/" + "a" * 5000 + ".wav",
    ],
)
def test_nothing_else_is_served(artifacts: Artifacts, path: str) -> None:
    """Any other name is refused, whether or not something stands there."""
    with pytest.raises(ArtifactError):
        artifacts.served(path)


def test_links_are_not_followed(artifacts: Artifacts, tmp_path: Path) -> None:
    """A symbolic link, as file or as directory, serves nothing."""
    (tmp_path / "outside.wav").write_bytes(b"RIFF")
    (artifacts.root / "tts" / "link.wav").symlink_to(tmp_path / "outside.wav")
    (artifacts.root / "tts" / "linked").symlink_to(tmp_path)

    for path in ("tts/link.wav", "tts/linked/outside.wav"):
        with pytest.raises(ArtifactError, match="link"):
            artifacts.served(path)


def test_a_turn_directory_cannot_leave_the_root(artifacts: Artifacts) -> None:
    """A session id that is not a plain name is refused."""
    with pytest.raises(ArtifactError):
        artifacts.turn("tts", f"..{os.sep}x", 1)


def test_a_path_outside_the_root_has_no_relative_name(artifacts: Artifacts, tmp_path: Path) -> None:
    """What is not below the root is never announced."""
    with pytest.raises(ArtifactError, match="not below"):
        artifacts.relative(tmp_path / "elsewhere.wav")


def test_sessions_are_directories_with_plain_names(artifacts: Artifacts) -> None:
    """Files, hidden directories and links beside the sessions are none; no tree has none."""
    sessions = artifacts.sessions("tts")
    (sessions / "notes.txt").touch()
    (sessions / ".hidden").mkdir()
    (sessions / "link").symlink_to(sessions / SESSION, target_is_directory=True)

    assert [SESSION] == [entry.name for entry in artifacts.session_entries("tts")]
    assert [] == artifacts.session_entries("none")


def test_sessions_that_are_dated_ahead_of_now_come_last(tmp_path: Path) -> None:
    """A clock that once went wrong does not make its sessions the last ones for years."""
    now = datetime.now(UTC)
    days = (-2, -1, 0, 1_800, 2_000)
    old, newer, newest, ahead, far_ahead = (
        new_session_id(now + timedelta(days=number)) for number in days
    )
    artifacts = Artifacts(tmp_path)
    for name in (newer, far_ahead, newest, ahead, old):
        artifacts.session("tts", name).mkdir(parents=True)

    assert [newest, newer, old, far_ahead, ahead] == artifacts.session_ids("tts")
