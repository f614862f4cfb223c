"""The artifacts root: what may be served, and that files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from backend.errors import ArtifactError
from backend.storage import Artifacts, write_bytes, writing
from backend.storage import artifacts as module

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


def test_a_failed_write_leaves_the_old_file_and_nothing_else(artifacts: Artifacts) -> None:
    """A file is replaced whole or stays as it was."""
    path = artifacts.root / "kept.json"
    write_bytes(path, b"old", artifacts.temporary)
    before = set(artifacts.temporary.iterdir())

    with pytest.raises(ZeroDivisionError), writing(path, artifacts.temporary) as draft:
        draft.write_bytes(b"half")
        raise ZeroDivisionError

    assert b"old" == path.read_bytes()
    assert before == set(artifacts.temporary.iterdir())


def test_a_file_is_flushed_before_it_is_moved_and_its_directory_after(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut there is the old file or the whole new one."""
    steps: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(module, "flush_file", lambda _: steps.append("flush file"))
    monkeypatch.setattr(module, "flush_directory", lambda _: steps.append("flush directory"))
    monkeypatch.setattr(
        Path, "replace", lambda self, to: steps.extend(["move"] * bool(replace(self, to)))
    )

    write_bytes(artifacts.root / "new.json", b"new", artifacts.temporary)

    assert ["flush file", "move", "flush directory"] == steps


def test_a_turn_directory_cannot_leave_the_root(artifacts: Artifacts) -> None:
    """A session id that is not a plain name is refused."""
    with pytest.raises(ArtifactError):
        artifacts.turn("tts", f"..{os.sep}x", 1)


def test_a_path_outside_the_root_has_no_relative_name(artifacts: Artifacts, tmp_path: Path) -> None:
    """What is not below the root is never announced."""
    with pytest.raises(ArtifactError, match="not below"):
        artifacts.relative(tmp_path / "elsewhere.wav")
