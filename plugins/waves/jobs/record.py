"""Reads and writes `session.json`, the record of what became of every utterance of a session.

    <artifacts>/waves/sessions/<session_id>/session.json

An utterance is recorded as `written` after its waves stand whole in their place, so what the record
names is there, with that size and that SHA-256. Its first set, that of V3, is told in the fields of
the utterance itself, and the others in `profiles`, if there are any. Only a thread of the waves
plugin writes; every change reads the file, changes it and replaces it atomically.

A file that is no record is moved aside, and a record is made again from the waves in the session's
directory, without their figures. One that cannot be opened or read at the moment (no descriptor
left, a disk that fails) may be whole: it stays, and the backfill records the waves later.
"""

import errno
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import structlog

from backend.storage import SESSION_FILE, WAV_SUFFIX, Artifacts, wave_names, write_bytes
from plugins.waves.errors import describe
from plugins.waves.files import paths, publishing

log = structlog.get_logger(__name__)

FORMAT = 1
MAX_BYTES = 2**20
MAX_UTTERANCES = 256
"""Far above the 18 of a session; the oldest go first."""
MAX_MESSAGE_CHARACTERS = 500
MAX_MOVED_ASIDE = 10

Status = Literal["written", "failed"]


@dataclass(frozen=True, slots=True)
class WaveEntry:
    """One file of an utterance; `path` is below the artifacts root, with forward slashes."""

    path: str
    size: int
    sha256: str
    peak: float | None = None
    rms: float | None = None
    """Largest absolute sample and root mean square, full scale being 1; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSet:
    """The waves of an utterance by one profile; a figure that is not known is None."""

    profile: str = "v3"
    files: tuple[WaveEntry, ...] = ()
    targets: tuple[int, ...] = ()
    """The dish that each file is for, 0: any; none if that is not known or each is for any."""
    rmse: float | None = None
    nrmse: float | None = None
    snr_db: float | None = None
    envelope_correlation: float | None = None
    clipped_samples: int | None = None
    voiced_ratio: float | None = None
    reason: str | None = None
    message: str | None = None
    """Why it failed, in one word and in words."""
    source_size: int | None = None
    source_mtime_ns: int | None = None
    """Which contents of the source failed for good, or crashed; None if trying again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What became of one utterance; a figure that is not known is None."""

    source: str
    """The recording, below the artifacts root, with forward slashes."""
    app_version: str
    finished_at: str
    """UTC, ISO 8601."""
    sets: tuple[WaveSet, ...] = (WaveSet(),)
    """At least one, V3's first."""
    duration_s: float | None = None
    sample_rate: int | None = None
    queued_ms: float | None = None
    running_ms: float | None = None

    @property
    def status(self) -> Status:
        """Whether V3's set failed."""
        return "failed" if self.by_profile().get("v3", WaveSet()).reason else "written"

    def by_profile(self) -> dict[str, WaveSet]:
        """Return the sets by their profile."""
        return {one.profile: one for one in self.sets}


def now() -> str:
    """Return the time as `finished_at` has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def app_version() -> str:
    """Return the version of this program, as records name it."""
    try:
        return version("reflective-resonance")
    except PackageNotFoundError:
        return "unknown"


def path_of(artifacts: Artifacts, session_id: str) -> Path:
    """Return where the record of a session stands, which need not exist."""
    return artifacts.session("waves", session_id) / SESSION_FILE


def record(artifacts: Artifacts, session_id: str, utterance: Utterance) -> Utterance | None:
    """Put `utterance` into the record of its session, in the place of an earlier one of its source.

    Sets of other profiles that were recorded are kept. Returns what is recorded now; None, and
    writes nothing, if the session's speech is gone: a session that was deleted is not brought back.

    Raises OSError if the record cannot be read or written; the one before still stands.
    """
    speech = artifacts.session("tts", session_id)
    if not speech.is_dir():
        log.info("session gone, nothing recorded", session_id=session_id, source=utterance.source)
        return None
    utterances = load(artifacts, session_id)
    known = utterances.pop(utterance.source, None)  # the newest stands last
    if known is not None and known.status == utterance.status == "written":
        utterance = _merged(known, utterance)
    utterances[utterance.source] = utterance
    kept = list(utterances.values())[-MAX_UTTERANCES:]
    path = path_of(artifacts, session_id)
    if link := artifacts.link_in(path):
        raise OSError(errno.ELOOP, f"{link} is a symbolic link: remove it")
    write_bytes(path, _text(session_id, kept).encode(), artifacts.temporary)
    if not speech.is_dir():  # deleted in between
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()
        return None
    return utterance


def _merged(known: Utterance, new: Utterance) -> Utterance:
    """Return `new` with what only `known` has, V3's set first."""
    sets = {**known.by_profile(), **new.by_profile()}.values()
    figures = ("duration_s", "sample_rate", "queued_ms", "running_ms")
    missing = {name: getattr(known, name) for name in figures if getattr(new, name) is None}
    return replace(new, sets=tuple(sorted(sets, key=lambda one: one.profile != "v3")), **missing)


def read(artifacts: Artifacts, session_id: str) -> dict[str, Utterance]:
    """Return the recorded utterances by source, oldest first; change nothing.

    Raises OSError if the record cannot be opened or read. Raises ValueError if it holds
    something else than a record; the message says what is wrong.
    """
    with path_of(artifacts, session_id).open("rb") as stream:
        contents = stream.read(MAX_BYTES + 1)
    if len(contents) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    try:
        return _parse(json.loads(contents))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {str(error)[:200]}") from error


def adopt(artifacts: Artifacts, session_id: str, source: str, sets: paths.Sets) -> bool:
    """Record complete sets of waves that nobody recorded; tell whether they are recorded now.

    Raises OSError if the waves cannot be read or the record cannot be written.
    """
    return record(artifacts, session_id, from_files(artifacts, source, sets)) is not None


def load(artifacts: Artifacts, session_id: str) -> dict[str, Utterance]:
    """Return the recorded utterances by source, oldest first.

    A record that holds something else is moved aside as `session.json.corrupt-N` with a WARNING,
    and what the session's directory holds is returned instead.

    Raises OSError if the record, or what would take its place, cannot be opened or read;
    nothing was moved.
    """
    try:
        return read(artifacts, session_id)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        return _start_again(artifacts, path_of(artifacts, session_id), str(error))


def _text(session_id: str, utterances: Iterable[Utterance]) -> str:
    """Return the record as JSON, an utterance to a line.

    Not `indent=2`: then json encodes in Python, and its lock is the one that visitors wait for.
    """
    head = json.dumps({"format": FORMAT, "session_id": session_id})
    lines = ",\n".join(json.dumps(_plain(one), allow_nan=False) for one in utterances)
    return f'{head[:-1]}, "utterances": [\n{lines}\n]}}\n'


def _plain(entry: Utterance | WaveSet | WaveEntry) -> dict[str, Any]:
    """Return an entry as json takes it; `asdict` would copy every value."""
    plain = {field.name: getattr(entry, field.name) for field in fields(entry)}
    if isinstance(entry, WaveSet):
        plain["files"] = [_plain(file) for file in entry.files]
        plain["message"] = entry.message and entry.message[:MAX_MESSAGE_CHARACTERS]
        if not entry.targets:
            del plain["targets"]
    elif isinstance(entry, Utterance):
        del plain["sets"]
        first, *more = map(_plain, entry.sets)
        plain |= {"status": entry.status, "algorithm": first.pop("profile"), **first}
        if more:
            plain["profiles"] = more
    return plain


def _parse(data: Mapping[str, Any]) -> dict[str, Utterance]:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}, {FORMAT} expected")
    utterances = {}
    for item in data["utterances"]:
        del item["status"]
        first = {_OF_SET[name]: item.pop(name) for name in _OF_SET if name in item}
        sets = tuple(map(_parsed_set, (first, *item.pop("profiles", ()))))
        utterance = Utterance(**item, sets=sets)
        utterances[str(utterance.source)] = utterance
    return utterances


_OF_SET = {field.name: field.name for field in fields(WaveSet)} | {"algorithm": "profile"}
"""What an utterance says of its first set, and what that is called in a set."""


def _parsed_set(item: Mapping[str, Any]) -> WaveSet:
    known = {name: value for name, value in item.items() if name in _OF_SET}
    files = tuple(WaveEntry(**file) for file in item["files"])
    return WaveSet(**{**known, "files": files, "targets": tuple(item.get("targets", ()))})


def _start_again(artifacts: Artifacts, path: Path, reason: str) -> dict[str, Utterance]:
    found = _from_files(artifacts, path.parent)  # first: what fails here must cost no record
    aside = _aside(path)
    try:
        path.replace(aside)
    except OSError as error:
        log.warning("record unreadable and cannot be moved aside",
                    path=str(path), reason=reason, error=describe(error))  # fmt: skip
    else:
        log.warning("record unreadable, moved aside and made again from the files",
                    path=str(path), moved_to=aside.name, reason=reason)  # fmt: skip
    return found


def _aside(path: Path) -> Path:
    """Return the first free name for a corrupt record; at the limit the last one is used again."""
    names = [path.with_name(f"{SESSION_FILE}.corrupt-{n}") for n in range(1, MAX_MOVED_ASIDE + 1)]
    return next((name for name in names if not name.exists()), names[-1])


def _from_files(artifacts: Artifacts, directory: Path) -> dict[str, Utterance]:
    """Return what the complete sets of waves in a session's directory tell."""
    utterances = {}
    first_wave, *_ = wave_names("")
    for first in sorted(directory.glob(f"turn_*/*{first_wave}")):
        speech = first.name.removesuffix(first_wave) + WAV_SUFFIX
        found = paths.standing(first.parent, Path(speech))
        sets = {name: files for name, files in found.items() if publishing.complete(files)}
        if "v3" not in sets:
            continue
        turn = artifacts.session("tts", directory.name) / first.parent.name
        source = artifacts.relative(turn / speech)
        utterances[source] = from_files(artifacts, source, sets)
    return utterances


def from_files(artifacts: Artifacts, source: str, sets: paths.Sets) -> Utterance:
    """Return what complete sets of waves tell; the figures they cannot are None."""
    newest = max(files[0].stat().st_mtime for files in sets.values())
    return Utterance(
        source=source,
        app_version="unknown",
        finished_at=datetime.fromtimestamp(newest, UTC).isoformat(timespec="milliseconds"),
        sets=tuple(
            WaveSet(profile=name, files=tuple(_entry(artifacts, file) for file in files))
            for name, files in sets.items()
        ),
    )


def _entry(artifacts: Artifacts, path: Path) -> WaveEntry:
    from plugins.waves.audio import pcm16  # here, so that no start waits for numpy

    contents = path.read_bytes()
    digest = hashlib.sha256(contents).hexdigest()
    peak, rms = pcm16.level(pcm16.decode(contents))
    return WaveEntry(artifacts.relative(path), len(contents), digest, peak, rms)
