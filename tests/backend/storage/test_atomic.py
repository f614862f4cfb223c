"""Files appear whole or not at all."""

import errno
import logging
import os
import stat
from pathlib import Path

import pytest

from backend.storage import Artifacts, make_directory, write_bytes
from backend.storage import atomic as module
from backend.storage.atomic import writing


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


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
    replace, temporary = os.replace, artifacts.temporary
    monkeypatch.setattr(module, "flush_file", lambda _: steps.append("flush file"))
    monkeypatch.setattr(module, "flush_directory", lambda _: steps.append("flush directory"))

    def moving(source: Path, target: Path) -> None:
        replace(source, target)
        steps.append("move")

    monkeypatch.setattr(os, "replace", moving)

    write_bytes(artifacts.root / "new.json", b"new", temporary)

    assert ["flush file", "move", "flush directory"] == steps


@pytest.fixture
def unflushable(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let each flush of a directory fail with the errno in the list that is returned."""
    numbers: list[int] = []
    flush = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(numbers[0], os.strerror(numbers[0]))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(module, "_unflushable", set())
    return numbers


@pytest.mark.skipif(os.name == "nt", reason="directories are not flushed there")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_disk_that_cannot_flush_names_is_told_once(
    tmp_path: Path, unflushable: list[int], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What integrity does not need stops nothing: one warning names the disk."""
    unflushable.append(number)

    with caplog.at_level(logging.WARNING):
        for name in ("a", "b"):
            write_bytes(tmp_path / name / "file", b"whole", tmp_path)

    assert b"whole" == (tmp_path / "b" / "file").read_bytes()
    (told,) = caplog.messages
    assert os.strerror(number) in told


@pytest.mark.skipif(os.name == "nt", reason="directories are not flushed there")
def test_a_disk_that_fails_at_a_flush_is_an_error(tmp_path: Path, unflushable: list[int]) -> None:
    """A disk that has failed may have lost the file: nobody is told that it is there."""
    unflushable.append(errno.EIO)

    with pytest.raises(OSError, match="Input/output"):
        write_bytes(tmp_path / "file", b"whole", tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="there are no such modes there")
@pytest.mark.parametrize(("mask", "file", "directory"), [(0, 0o644, 0o755), (0o77, 0o600, 0o700)])
def test_what_is_made_is_writable_for_its_owner_alone(
    tmp_path: Path, mask: int, file: int, directory: int
) -> None:
    """The umask decides who may read; others may write with none."""
    before = os.umask(mask)
    try:
        make_directory(tmp_path / "a" / "b")
        write_bytes(tmp_path / "a" / "c" / "file", b"whole", tmp_path)
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("a/**/*")}
    assert {"b": directory, "c": directory, "file": file} == modes
