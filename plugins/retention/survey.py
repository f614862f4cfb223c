"""What is stored: for every session, in each tree, its size and when its last part was written.

Its own record says when; without one, its newest file. A stamp that is ahead of now was made by a
wrong clock: the session counts as written when its directory last changed, or when it is seen.

Files are moved into place whole, so the content of a session changes only together with the time
stamps of its directories: a session whose stamps have not changed is not read again.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from backend.storage import SERVED_TREES, SESSION_FILE, Artifacts, Tree, is_settled, walk
from plugins.retention.policy import Stored

log = structlog.get_logger(__name__)

RECORDS = (SESSION_FILE, "metadata.json")
_STAMP = re.compile(r'"(?:started_at|finished_at|written_at|heard_at)": "([^"]*)"')
_HEARD_ID = re.compile(r'"heard_id": "([^"]*)"')


@dataclass(frozen=True, slots=True)
class _Session:
    stamps: dict[str, int]
    """The time of the last change of each directory, in nanoseconds."""
    stored: Stored


class Survey:
    """Looks at the trees of an artifacts root, and remembers what has not changed."""

    def __init__(self, artifacts: Artifacts, *, read_only: bool = False) -> None:
        self._artifacts = artifacts
        self._read_only = read_only
        self._known: dict[Tree, dict[str, _Session]] = {tree: {} for tree in SERVED_TREES}

    def look(self, tree: Tree) -> list[Stored]:
        """Return every session of a tree; nothing if the tree is not there, or is a link."""
        sessions = self._artifacts.sessions(tree)
        if sessions.parent.is_symlink() or sessions.is_symlink():
            return []
        now_s = time.time()
        known, self._known[tree] = self._known[tree], {}
        stored, ahead = [], list[str]()
        for entry in self._artifacts.session_entries(tree):
            session = known.get(entry.name)
            if session is None or not _is_unchanged(session):
                session = self._read(entry, now_s, ahead)
            if session is None:
                continue
            stored.append(session.stored)
            if all(is_settled(mtime_ns, now_s) for mtime_ns in session.stamps.values()):
                self._known[tree][entry.name] = session
        if ahead:
            log.warning("dated ahead of now: they count as written now", tree=tree, sessions=ahead)
        return stored

    def _read(self, entry: os.DirEntry[str], now_s: float, ahead: list[str]) -> _Session | None:
        """Return what a session holds; None if it is removed meanwhile."""
        try:
            directories = list(walk(entry.path))
        except OSError:
            return None
        stamps = {directory.path: directory.mtime_ns for directory in directories}
        size = sum(directory.size for directory in directories)
        newest_s = max(directory.newest_s for directory in directories)
        record = _record(entry)
        written_s = max(_moments(record), default=newest_s or max(stamps.values()) / 1e9)
        if written_s > now_s + 60:  # a clock that is right may be set back a little
            written_s = min(now_s, stamps[entry.path] / 1e9)
            if written_s == now_s:
                ahead.append(entry.name)
                with suppress(OSError):
                    if not self._read_only:  # the directory keeps when it was first seen
                        os.utime(entry.path, (now_s, now_s))
        heard = _HEARD_ID.search(record)
        return _Session(stamps, Stored(entry.name, size, written_s, heard and heard[1]))


def _record(entry: os.DirEntry[str]) -> str:
    for name in RECORDS:
        with suppress(OSError):
            return Path(entry.path, name).read_text("utf-8", "replace")
    return ""


def _moments(record: str) -> Iterator[float]:
    for text in _STAMP.findall(record):
        with suppress(ValueError, OverflowError, OSError):
            yield datetime.fromisoformat(text).timestamp()


def _is_unchanged(session: _Session) -> bool:
    try:
        return all(os.lstat(path).st_mtime_ns == mtime for path, mtime in session.stamps.items())
    except OSError:
        return False
