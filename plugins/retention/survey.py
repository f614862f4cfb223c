"""What is stored: of every session, in each tree, its size and when its newest file was written.

Links are looked at, never through: a link counts for itself. What a session's directories hold
changes only together with their time stamps, since files are moved into place whole, so a session
that was looked at is not opened again until one of those changes: looking at thousands of sessions
is some thousand calls of stat().
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.storage import Artifacts, is_plain_name
from plugins.retention.policy import Stored, Tree

RACY_S = 2.0
"""A directory that changed this recently may change again without a new time stamp."""

Stamps = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    stamps: Stamps
    stored: Stored


class Survey:
    """Looks at the trees of an artifacts root, and remembers what has not changed."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._seen: dict[Tree, dict[str, _Seen]] = {"tts": {}, "waves": {}}

    def look(self, tree: Tree) -> list[Stored]:
        """Return every session of a tree; nothing if the tree is not there, or is a link."""
        seen, known = {}, self._seen[tree]
        stored = []
        for path in _sessions(self._artifacts.root / tree):
            before = known.get(path.name)
            if before is None or _stamps(path for path, _ in before.stamps) != before.stamps:
                started_s = time.time()
                before = _look_at(path)
                if before is None:
                    continue
                if any(mtime_ns > (started_s - RACY_S) * 1e9 for _, mtime_ns in before.stamps):
                    stored.append(before.stored)
                    continue
            seen[path.name] = before
            stored.append(before.stored)
        self._seen[tree] = seen
        return stored


def _sessions(tree: Path) -> Iterator[Path]:
    """Yield the session directories of a tree, links left out."""
    sessions = tree / "sessions"
    if tree.is_symlink() or sessions.is_symlink():
        return
    try:
        entries = os.scandir(sessions)
    except OSError:
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and is_plain_name(entry.name):
                yield sessions / entry.name


def _look_at(session: Path) -> _Seen | None:
    """Return what a session holds; None if it goes while it is looked at."""
    directories, size, newest_s = [str(session)], 0, 0.0
    stamps: list[tuple[str, int]] = []
    try:
        for directory in directories:
            stamps.append((directory, os.lstat(directory).st_mtime_ns))
            with os.scandir(directory) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        directories.append(entry.path)
                    else:
                        size += status.st_size
                        newest_s = max(newest_s, status.st_mtime)
    except OSError:
        return None
    newest_s = newest_s or max(mtime_ns for _, mtime_ns in stamps) / 1e9
    return _Seen(tuple(stamps), Stored(session.name, size, newest_s))


def _stamps(directories: Iterator[str]) -> Stamps:
    try:
        return tuple((path, os.lstat(path).st_mtime_ns) for path in directories)
    except OSError:
        return ()
