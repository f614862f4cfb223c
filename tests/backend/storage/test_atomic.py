"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from backend.storage import Artifacts, write_bytes
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
    replace = os.replace
    monkeypatch.setattr(module, "flush_file", lambda _: steps.append("flush file"))
    monkeypatch.setattr(module, "flush_directory", lambda _: steps.append("flush directory"))

    def moving(source: Path, target: Path) -> None:
        replace(source, target)
        steps.append("move")

    monkeypatch.setattr(os, "replace", moving)

    write_bytes(artifacts.root / "new.json", b"new", artifacts.temporary)

    assert ["flush file", "move", "flush directory"] == steps
