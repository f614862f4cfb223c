"""A tree of files is read directory by directory."""

import os
import shutil
from pathlib import Path

import pytest

from backend.storage import is_settled, walk
from backend.storage.disk_walk import Directory


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a directory with a file, and one below it with two files and a link."""
    top = tmp_path / "top"
    (top / "below").mkdir(parents=True)
    for number, name in enumerate(("a", "below/b", "below/c"), start=1):
        (top / name).write_bytes(b"x" * number)
        os.utime(top / name, (0, 1000 + number))
    (top / "below" / "link").symlink_to(tmp_path)
    os.utime(top / "below" / "link", (0, 0), follow_symlinks=False)
    return top


def test_each_directory_has_its_own_files(tree: Path) -> None:
    """Sizes and times are of a directory's files; a link counts, what it points to does not."""
    link = (tree / "below/link").lstat().st_size

    found = list(walk(str(tree)))

    assert [
        Directory(str(tree), tree.stat().st_mtime_ns, 1, 1, 1001.0),
        Directory(str(tree / "below"), (tree / "below").stat().st_mtime_ns, 3, 5 + link, 1003.0),
    ] == found


def test_a_directory_that_is_removed_meanwhile_is_an_error_or_left_out(tree: Path) -> None:
    """Who needs the whole tree is told that a part of it is missing."""
    strict, lenient = walk(str(tree)), walk(str(tree), ignore_errors=True)
    first = next(strict), next(lenient)
    shutil.rmtree(tree / "below")

    assert first[0] == first[1]
    assert [] == list(lenient)
    with pytest.raises(FileNotFoundError):
        next(strict)


def test_a_time_stamp_is_settled_after_two_seconds() -> None:
    """File systems keep times to two seconds at worst: until then a change may not be seen."""
    assert is_settled(7 * 10**9, 9.1)
    assert not is_settled(8 * 10**9, 9.1)
