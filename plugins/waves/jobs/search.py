"""Finds recordings below the artifacts root whose waves are not complete or not recorded.

    session directory --> recordings in turn_*/ --> each is one of
        done         its three waves stand, with the sizes that the record names
        refused      recorded as failed for what it holds, and unchanged since
        quarantined  recorded as crashed, within a day and by this version, and unchanged since
        unrecorded   its three waves stand, whole, and are not in the record
        pending      anything else: no waves, or a part of a set

The files decide; a record that is missing or corrupt costs reading the waves once. Nothing here
changes a file. A session in which nothing is left is remembered with the times of its directories
and not opened again until one of them changes: a search over thousands of sessions is some thousand
calls of stat().
"""

import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from backend.storage import (
    WAV_SUFFIX,
    Artifacts,
    is_plain_name,
    is_settled,
    riff,
    turn_index_of,
)
from plugins.waves.files import paths, publishing
from plugins.waves.jobs import record
from plugins.waves.pool import DAY_S
from plugins.waves.settings import V3_SAMPLE_RATE

RecordingState = Literal["done", "refused", "quarantined", "unrecorded", "pending"]
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A recording for which something is left to do."""

    path: Path
    session_id: str
    source: str
    """Its name in the record."""
    targets: paths.Targets
    written_at_s: float
    """Time of the file, in seconds since 1970."""
    state: RecordingState
    quarantined_s: float = 0.0
    """For how many seconds more it is quarantined."""


class Search:
    """Looks for what is left to do, newest session first."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._app_version = record.app_version()
        self._finished: dict[str, tuple[tuple[Path, ...], Stamp]] = {}

    def run(self) -> Iterator[Found]:
        """Yield what is left to do, newest first within each session too."""
        sessions = self._sessions()
        for session_id in self._finished.keys() - {name for _, name in sessions}:
            del self._finished[session_id]
        for _, session_id in sorted(sessions, reverse=True):
            known = self._finished.get(session_id)
            if known is None or _stamp(known[0]) != known[1]:
                yield from self._session(session_id)

    def look_again(self, found: Found) -> Found | None:
        """Return how a recording stands now; None if it is gone. Much may have happened since."""
        return self._look_at(found.path, found.session_id, self._recorded(found.session_id))

    def _sessions(self) -> list[tuple[int, str]]:
        """Return every session of the speech tree with the time it last changed."""
        try:
            return [
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
                for entry in self._artifacts.session_entries("tts")
            ]
        except OSError:
            return []

    def _session(self, session_id: str) -> Iterator[Found]:
        started_s = time.time()
        speech = self._artifacts.sessions("tts") / session_id
        turns = [turn for turn in _listed(speech) if turn_index_of(turn.name)]
        waves = [self._artifacts.sessions("waves") / session_id / turn.name for turn in turns]
        watched = [speech, *turns, *waves, record.path_of(self._artifacts, session_id)]
        before = _stamp(tuple(watched))
        recorded = self._recorded(session_id)
        left = []
        for wav_path in (path for turn in turns for path in _listed(turn)):
            found = self._look_at(wav_path, session_id, recorded)
            if found is None:
                continue
            if found.state == "refused":
                watched.append(wav_path)
                before += _stamp((wav_path,))
            elif found.state != "done":
                left.append(found)
        if not left and all(is_settled(mtime_ns, started_s) for _, mtime_ns, _ in before):
            self._finished[session_id] = tuple(watched), before
        yield from sorted(left, key=lambda found: found.written_at_s, reverse=True)

    def _look_at(
        self, path: Path, session_id: str, recorded: Mapping[str, record.Utterance]
    ) -> Found | None:
        """Return how a recording stands; None if it is none."""
        if not path.name.endswith(WAV_SUFFIX) or not is_plain_name(path.name):
            return None
        try:
            status = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        source = self._artifacts.relative(path)
        targets = paths.session_targets(path, self._artifacts.root)
        known = recorded.get(source)
        state = _state(status, targets, known)
        quarantined_s = 0.0
        if state == "refused" and known is not None and known.reason == "crashed":
            quarantined_s = self._quarantined_s(known)
            state = "quarantined" if quarantined_s else "pending"
        return Found(path, session_id, source, targets, status.st_mtime, state, quarantined_s)

    def _quarantined_s(self, crashed: record.Utterance) -> float:
        """Return for how many seconds more a recording that crashed is left alone."""
        if crashed.app_version != self._app_version:
            return 0.0
        try:
            age = datetime.now(UTC) - datetime.fromisoformat(crashed.finished_at)
        except (TypeError, ValueError):
            return 0.0
        age_s = age.total_seconds()
        return max(0.0, DAY_S - age_s) if age_s >= 0 else 0.0

    def _recorded(self, session_id: str) -> Mapping[str, record.Utterance]:
        """Return the session's record; nothing if it cannot be read: the files decide then."""
        try:
            return record.read(self._artifacts, session_id)
        except (OSError, ValueError):
            return {}


def _state(
    status: os.stat_result, targets: paths.Targets, recorded: record.Utterance | None
) -> RecordingState:
    if recorded is not None and recorded.status == "written":
        sizes = [file.size for file in recorded.files]
        if sizes and sizes == [_size(target) for target in targets]:
            return "done"
    elif recorded is not None:
        contents = recorded.source_size, recorded.source_mtime_ns  # refused for good, or crashed
        is_unchanged = contents == (status.st_size, status.st_mtime_ns)
        if is_unchanged and not (recorded.reason == "crashed" and _is_whole(targets)):
            return "refused"
    return "unrecorded" if _is_whole(targets) else "pending"


def _is_whole(targets: paths.Targets) -> bool:
    """Tell whether three canonical waves of one length stand at `targets`."""
    if not publishing.complete(targets):
        return False
    try:
        for target in targets:
            with target.open("rb") as stream:
                header = stream.read(riff.PCM16_HEADER_BYTES)
            frames = (target.stat().st_size - riff.PCM16_HEADER_BYTES) // 2
            if header != riff.pcm16_header(frames, V3_SAMPLE_RATE):
                return False
    except OSError:
        return False
    return True


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _size(path: Path) -> int | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _stamp(watched: tuple[Path, ...]) -> Stamp:
    """Return what changes when anything in `watched` does; what is not there has none."""
    stamps = []
    for path in watched:
        try:
            status = path.lstat()
        except OSError:
            stamps.append((str(path), 0, 0))
        else:
            stamps.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(stamps)
