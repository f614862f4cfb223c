"""One process per artifacts root."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.errors import ArtifactsInUseError, SettingsError
from backend.storage import Artifacts, holding
from tests import command

HOLD = """
import sys
from pathlib import Path
from backend.storage import (Artifacts)
from backend.storage import (holding)
with holding(Artifacts(Path(sys.argv[1])), "a test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.e2e
def test_the_second_is_told_who_holds_the_root(tmp_path: Path, project_root: Path) -> None:
    """The message names the purpose and the process of the holder, and what to do."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=project_root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert b"held" in holder.stdout.readline()

        with pytest.raises(ArtifactsInUseError) as caught, holding(Artifacts(tmp_path), "second"):
            pass

        assert f"a test, process {holder.pid}" in str(caught.value)
        assert "RR_ARTIFACTS_DIR" in str(caught.value)
        second = command.run("rehearse", "--artifacts", str(tmp_path), cwd=tmp_path)
        assert (2, "") == (second.returncode, second.stdout)
        assert f"process {holder.pid}" in second.stderr
        holder.kill()
        holder.wait()

    with holding(Artifacts(tmp_path), "after a crash"):
        pass


def test_the_root_is_free_again_after_the_block(tmp_path: Path) -> None:
    """A holder that ends well leaves the root to the next."""
    for purpose in ("first", "second"):
        with holding(Artifacts(tmp_path), purpose):
            pass


def test_a_root_that_cannot_be_used_is_a_wrong_setting(tmp_path: Path) -> None:
    """The message names the setting, the folder, the reason and what to do."""
    (tmp_path / "file").write_bytes(b"")
    root = tmp_path / "file" / "artifacts"

    with pytest.raises(SettingsError) as caught, holding(Artifacts(root), "a test"):
        pass

    assert f"RR_ARTIFACTS_DIR={root}: cannot be used (Not a directory): name" in str(caught.value)


def test_a_full_disk_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can write nothing, not even who it is, holds the root all the same."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("backend.storage.lock.write_bytes", full)
    with (
        holding(Artifacts(tmp_path), "first"),
        pytest.raises(ArtifactsInUseError) as caught,
        holding(Artifacts(tmp_path), "second"),
    ):
        pass

    assert "in use by another process" in str(caught.value)


DIE_WRITING = """
import os, signal, sys
from pathlib import Path
from backend.storage import Artifacts
from backend.storage.atomic import writing
artifacts = Artifacts(Path(sys.argv[1]))
with writing(artifacts.root / "session.json", artifacts.temporary) as draft:
    draft.write_text("{")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.e2e
def test_drafts_of_the_dead_are_removed(tmp_path: Path, project_root: Path) -> None:
    """Whoever gets the root finds what a killed process was writing, and removes that alone."""
    artifacts = Artifacts(tmp_path)
    subprocess.run(
        [sys.executable, "-c", DIE_WRITING, str(tmp_path)], cwd=project_root, check=False
    )
    left = list(artifacts.temporary.iterdir())
    other = artifacts.temporary / ".waves-1-a"
    other.mkdir()

    with holding(artifacts, "the next"):
        found = list(artifacts.temporary.iterdir())

    assert 1 == len(left)
    assert [other] == found


@pytest.mark.skipif(sys.platform == "win32", reason="its disks have locks")
def test_a_disk_without_locks_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning names the path and what to do."""
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)

    with holding(Artifacts(tmp_path), "first"):
        assert (tmp_path / ".lock.json").is_file()
    (told,) = caplog.messages
    assert f"no lock at {tmp_path / '.lock'}: run one program at a time" in told
