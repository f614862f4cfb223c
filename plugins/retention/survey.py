"""What is stored: for every session, in each tree, its size and when its newest file was written.

Files are moved into place whole, so the content of a session changes only together with the time
stamps of its directories: a session whose stamps have not changed is not read again.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backend.storage import SERVED_TREES, SESSION_FILE, Artifacts, Tree, is_settled, walk
from plugins.retention.policy import Stored


@dataclass(frozen=True, slots=True)
class _Session:
    stamps: dict[str, int]
    """The time of the last change of each directory, in nanoseconds."""
    stored: Stored


class Survey:
    """Looks at the trees of an artifacts root, and remembers what has not changed."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._known: dict[Tree, dict[str, _Session]] = {tree: {} for tree in SERVED_TREES}

    def look(self, tree: Tree) -> list[Stored]:
        """Return every session of a tree; nothing if the tree is not there, or is a link."""
        sessions = self._artifacts.sessions(tree)
        if sessions.parent.is_symlink() or sessions.is_symlink():
            return []
        now_s = time.time()
        known, self._known[tree] = self._known[tree], {}
        stored = []
        for entry in self._artifacts.session_entries(tree):
            session = known.get(entry.name)
            if session is None or not _is_unchanged(session):
                session = _read(entry)
            if session is None:
                continue
            stored.append(session.stored)
            if all(is_settled(mtime_ns, now_s) for mtime_ns in session.stamps.values()):
                self._known[tree][entry.name] = session
        return stored


def _read(entry: os.DirEntry[str]) -> _Session | None:
    """Return what a session holds; None if it is removed meanwhile."""
    try:
        directories = list(walk(entry.path))
    except OSError:
        return None
    stamps = {directory.path: directory.mtime_ns for directory in directories}
    size = sum(directory.size for directory in directories)
    newest_s = max(directory.newest_s for directory in directories) or max(stamps.values()) / 1e9
    return _Session(stamps, Stored(entry.name, size, newest_s, _heard_id(entry)))


def _heard_id(entry: os.DirEntry[str]) -> str | None:
    """Return the id of the recording that began a session, from the manifest of its speech."""
    with suppress(OSError, ValueError, AttributeError, RecursionError):
        found = json.loads(Path(entry.path, SESSION_FILE).read_bytes()).get("heard_id")
        return found if isinstance(found, str) else None
    return None


def _is_unchanged(session: _Session) -> bool:
    try:
        return all(os.lstat(path).st_mtime_ns == mtime for path, mtime in session.stamps.items())
    except OSError:
        return False
