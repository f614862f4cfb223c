"""The manifest of a session, `session.json` beside its speech."""

import json
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import structlog
from pydantic import TypeAdapter, ValidationError

from backend.errors import ArtifactError
from backend.signals import Kind
from backend.storage import SESSION_FILE, Artifacts, write_bytes

log = structlog.get_logger(__name__)

MANIFEST_VERSION = 1
RUNNING, INTERRUPTED = b'"status": "running"', b'"status": "interrupted"'
"""As `Manifest.to_json` writes them; within a JSON string the quotes would be escaped."""


@dataclass(slots=True)
class Utterance:
    """One utterance in the manifest."""

    turn_index: int
    kind: Kind
    slot_id: int
    agent_id: str
    text: str
    voice_profile: str
    target_slot_id: int | None = None
    audio_path: str | None = None
    duration_s: float | None = None
    written_at: str | None = None


@dataclass(slots=True)
class Manifest:
    """The content of a manifest; it never holds the words of the visitor."""

    session_id: str
    slots: dict[int, str]
    started_at: str
    status: Literal["running", "finished", "interrupted"] = "running"
    finished_at: str | None = None
    heard_id: str | None = None
    """The id of the recording that the visitor spoke; None if the message was typed."""
    seed: int | None = None
    message: str | None = None
    """What an artist rehearses; None for what a visitor says."""
    utterances: list[Utterance] = field(default_factory=list)
    version: int = MANIFEST_VERSION

    def path(self, artifacts: Artifacts) -> Path:
        """Return the path of the manifest."""
        return artifacts.session("tts", self.session_id) / SESSION_FILE

    def to_json(self, *, keep_texts: bool = True) -> bytes:
        """Return the bytes to write, utterances in the order of turn and slot, maybe no texts."""
        content = asdict(self)
        if not keep_texts:
            content["message"] = None
            for row in content["utterances"]:
                row["text"] = ""
        content["utterances"].sort(key=lambda row: (row["turn_index"], row["slot_id"]))
        return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"


def save(manifest: Manifest, artifacts: Artifacts, *, keep_texts: bool = True) -> None:
    """Write the manifest atomically."""
    content = manifest.to_json(keep_texts=keep_texts)
    write_bytes(manifest.path(artifacts), content, artifacts.temporary)


def read(artifacts: Artifacts, session_id: str) -> Manifest:
    """Return the manifest of a session, or raise ArtifactError if none can be read."""
    path = artifacts.session("tts", session_id) / SESSION_FILE
    try:
        return TypeAdapter(Manifest).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"there is no session {session_id} in {artifacts.root}") from error


def mark_interrupted(artifacts: Artifacts, ids: Iterable[str], stopped: threading.Event) -> None:
    """Change the status of the sessions `ids` from running to interrupted, until `stopped`.

    These are sessions of a process that was killed. One that is removed meanwhile is not written
    again, as `save` would do.
    """
    for session_id in ids:
        if stopped.is_set():
            return
        try:
            if _mark_interrupted(artifacts, session_id):
                log.warning("session interrupted: its server was killed", session_id=session_id)
        except OSError as error:
            log.error(
                "the manifest of an interrupted session could not be written",
                session_id=session_id,
                error=str(error),
            )


def _mark_interrupted(artifacts: Artifacts, session_id: str) -> bool:
    path = artifacts.sessions("tts") / session_id / SESSION_FILE
    content = b""
    with suppress(OSError):
        content = path.read_bytes()
    if RUNNING not in content:
        return False
    interrupted = content.replace(RUNNING, INTERRUPTED, 1)
    try:
        write_bytes(path, interrupted, artifacts.temporary, make_parents=False)
    except FileNotFoundError:
        return False
    return True
