"""Finds recordings below the artifacts root whose waves are not complete or not recorded.

    session directory --> recordings in turn_*/ --> of each, every wanted set of waves is one of
        done         its files stand, with the sizes that the record names
        refused      recorded as failed for what the recording holds, and unchanged since
        quarantined  recorded as crashed, within a day and by this version, and unchanged since
        unrecorded   its files stand, whole, and are not in the record
        pending      anything else: no waves, or a part of a set

A profile beside V3 that failed is refused for a day, as one that crashed. What is refused or
quarantined as a recording gets no other set. The files decide; a record that is missing or corrupt
costs reading the waves once. Nothing here
changes a file. A session in which nothing is left is remembered with the times of its directories
and not opened again until one of them changes: a search over thousands of sessions is some thousand
calls of stat().
"""

import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

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

RecordingState = Literal["pending", "unrecorded", "quarantined", "refused", "done"]
STATES: tuple[RecordingState, ...] = get_args(RecordingState)
"""A recording is in the first of these that a set of its waves is in."""
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A recording for which something is left to do."""

    path: Path
    session_id: str
    source: str
    """Its name in the record."""
    written_at_s: float
    """Time of the file, in seconds since 1970."""
    state: RecordingState
    missing: tuple[str, ...] = ()
    """The profiles whose waves are to be made; all that are quarantined, if nothing else is."""
    unrecorded: paths.Sets = field(default_factory=dict)
    """The sets that stand and are to be recorded."""
    quarantined_s: float = 0.0
    """For how many seconds more it is quarantined."""


class Search:
    """Looks for what is left to do, newest session first."""

    def __init__(self, artifacts: Artifacts, profiles: Sequence[str] = ("v3",)) -> None:
        self._artifacts = artifacts
        self._profiles = profiles
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
        directory = paths.session_targets(path, self._artifacts.root)[0].parent
        known = recorded.get(source)
        sets = known.by_profile() if known is not None else {}
        left = [one for one in self._profiles if not _is_done(sets.get(one), directory, path)]
        stand = paths.standing(directory, path) if left else {}
        whole = {one: stand[one] for one in left if _is_whole(stand.get(one, ()), sets.get(one))}
        states = {one: self._state(known, sets.get(one), status, one in whole) for one in left}
        first = states.get("v3")
        if first in {"refused", "quarantined"}:
            states = dict.fromkeys(states, first)
        state: RecordingState = next((one for one in STATES if one in states.values()), "done")
        missing = {state, "pending"} - {"unrecorded", "refused"}
        if first == "pending":  # with V3's set those that stand are made again, and so recorded
            missing, whole = {"pending", "unrecorded"}, {}
        return Found(
            path, session_id, source, status.st_mtime, state,
            tuple(one for one in states if states[one] in missing),
            {one: files for one, files in whole.items() if states[one] == "unrecorded"},
            self._quarantined_s(known) if known and state == "quarantined" else 0.0,
        )  # fmt: skip

    def _state(
        self,
        known: record.Utterance | None,
        one: record.WaveSet | None,
        status: os.stat_result,
        is_whole: bool,
    ) -> RecordingState:
        """Return how a set of waves stands that is not done; `one` is what is recorded of it."""
        contents = (one.source_size, one.source_mtime_ns) if one and one.reason else None
        if known and one and contents == (status.st_size, status.st_mtime_ns):
            is_crashed = one.reason == "crashed"
            if one.reason == "invalid_audio" or (not is_crashed and self._quarantined_s(known)):
                return "refused"
            if is_crashed and not is_whole:
                return "quarantined" if self._quarantined_s(known) else "pending"
        return "unrecorded" if is_whole else "pending"

    def _quarantined_s(self, failed: record.Utterance) -> float:
        """Return for how many seconds more a recording that failed for good is left alone."""
        if failed.app_version != self._app_version:
            return 0.0
        try:
            age = datetime.now(UTC) - datetime.fromisoformat(failed.finished_at)
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


def _is_done(one: record.WaveSet | None, directory: Path, path: Path) -> bool:
    """Tell whether the files of a recorded set stand with their sizes."""
    if one is None or one.reason or not one.files:
        return False
    targets = paths.targets_in(directory, path, one.profile, len(one.files))
    return [file.size for file in one.files] == [_size(target) for target in targets]


def _is_whole(targets: paths.Targets, recorded: record.WaveSet | None) -> bool:
    """Tell whether canonical waves of one length stand at `targets`, as many as are recorded."""
    count = len(recorded.files) if recorded else 0
    if not targets or count not in {0, len(targets)} or not publishing.complete(targets):
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
