"""What earlier runs told, rebuilt from the records of the waves.

    <artifacts>/waves/sessions/<session_id>/session.json

Each record is played through `backend.tracking` again, so that its messages come out as they did.
Only the newest sessions are read; a record that cannot be read is passed over with a WARNING.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from backend.errors import ArtifactError
from backend.signals import TURN_KINDS, SessionFinished, TtsWritten, WorkDone, WorkFailed
from backend.storage import Artifacts
from backend.tracking import Followed, Following, UtteranceDone
from plugins.waves.signals import outcomes

log = structlog.get_logger(__name__)

FILE_NAME = "session.json"
MAX_BYTES = 2**20
GONE = "gone"
_SOURCE = re.compile(
    r"tts/sessions/(?P<session>[^/]+)/turn_(?P<turn>[123])/slot-(?P<slot>[0-9]{1,4})_"
    r"(?:comment_to_slot-(?P<target>[0-9]{1,4})_|reply_)?(?P<agent>[^_/]+)_(?P<voice>[^/]+)\.wav"
)


@dataclass(frozen=True, slots=True)
class Past:
    """Something that was told once, and when."""

    event: Followed
    at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """The past, oldest first; `lost_before` is when the newest session left out took place."""

    events: list[Past]
    lost_before: datetime | None


class _File(BaseModel):
    path: str


class _Utterance(BaseModel):
    source: str
    status: str
    finished_at: AwareDatetime
    files: list[_File] = []
    reason: str | None = None
    message: str | None = None


class _Record(BaseModel):
    format: int = Field(ge=1, le=1)
    utterances: list[_Utterance]


def read_history(artifacts: Artifacts, max_sessions: int) -> History:
    """Return what the newest `max_sessions` sessions told; never raises."""
    directory = artifacts.sessions("waves")
    try:
        names = sorted(path.name for path in directory.iterdir() if path.is_dir())
    except OSError:
        names = []
    kept = names[len(names) - min(max_sessions, len(names)) :]
    left_out = names[: len(names) - len(kept)]
    events = [past for name in kept for past in _session(artifacts, directory / name)]
    return History(events, _modified(directory / left_out[-1]) if left_out else None)


def _session(artifacts: Artifacts, directory: Path) -> Iterator[Past]:
    path = directory / FILE_NAME
    try:
        with path.open("rb") as stream:
            record = _Record.model_validate_json(stream.read(MAX_BYTES + 1))
        utterances = [_outcome(artifacts, directory.name, row) for row in record.utterances]
    except FileNotFoundError:
        return
    except (OSError, ValidationError, ValueError) as error:
        log.warning("a record cannot be read; its session is left out of the history",
                    path=str(path), error=str(error).splitlines()[0])  # fmt: skip
        return
    told: list[Followed] = []
    following = Following(outcomes, told.append)
    for outcome in utterances:
        following.on_written(event=outcome.source)
    latest = datetime.min.replace(tzinfo=UTC)
    for row, outcome in zip(record.utterances, utterances, strict=True):
        following.on_ended(event=outcome)
        latest = max(latest, row.finished_at)
        yield from (Past(_untimed(event), latest) for event in told)
        told.clear()
    if utterances:
        following.on_finished(event=SessionFinished(directory.name, (), latest))
        yield from (Past(event, latest) for event in told)


def _untimed(event: Followed) -> Followed:
    """Return an event without the time it took, which is that of reading the record."""
    return replace(event, waited_s=None) if isinstance(event, UtteranceDone) else event


def _outcome(artifacts: Artifacts, session_id: str, row: _Utterance) -> WorkDone | WorkFailed:
    found = _SOURCE.fullmatch(row.source)
    if found is None or found["session"] != session_id:
        raise ValueError(f"{row.source[:200]!r} is no recording of this session")
    source = TtsWritten(
        session_id=session_id,
        turn_index=int(found["turn"]),
        kind=TURN_KINDS[int(found["turn"])],
        slot_id=int(found["slot"]),
        agent_id=found["agent"],
        voice_profile=found["voice"],
        target_slot_id=int(found["target"]) if found["target"] else None,
        wav_path=artifacts.root / row.source,
        audio_path=row.source,
        written_at=row.finished_at,
    )
    if row.status != "written":
        return WorkFailed(source, row.reason or "error", row.message or "")
    try:
        return WorkDone(source, tuple(artifacts.served(file.path) for file in row.files))
    except ArtifactError:
        return WorkFailed(source, GONE, "the waves are no longer there")


def _modified(path: Path) -> datetime:
    """Return when something in the directory last changed, about the end of its session."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return datetime.now(UTC)
