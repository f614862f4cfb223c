"""Who spoke a recording that is found on the disk: the `TtsWritten` it was announced with.

The speech's own `session.json` says so. It is written at the end of a turn and may be missing, torn
or wrong after a power cut, so the file's name is enough: it holds all of it but the time.

    turn_1/slot-<n>_<agent>_<voice>.wav
    turn_2/slot-<n>_comment_to_slot-<target>_<agent>_<voice>.wav
    turn_3/slot-<n>_reply_<agent>_<voice>.wav
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.signals import TURN_KINDS, Kind, TtsWritten
from backend.storage import Artifacts
from plugins.waves.files import base_name

MANIFEST = "session.json"
MAX_BYTES = 2**20
UNKNOWN = "unknown"
_NAME = re.compile(
    r"slot-(?P<slot>[1-9][0-9]{0,3})_"
    r"(?:comment_to_slot-(?P<target>[1-9][0-9]{0,3})_|(?P<reply>reply)_)?"
    r"(?P<agent>[^_]+)_(?P<voice>.+)"
)


def source_of(wav_path: Path, artifacts: Artifacts) -> TtsWritten:
    """Return the event of the recording at `<root>/tts/sessions/<session_id>/turn_<N>/`.

    Whatever is neither in the session's manifest nor in the file's name is "unknown" or 0.
    """
    turn = wav_path.parent
    audio_path = artifacts.relative(wav_path)
    turn_index = int(turn.name.removeprefix("turn_"))
    fields = _from_name(base_name(wav_path), turn_index)
    row = _manifest_row(turn.parent / MANIFEST, audio_path)
    fields.update({name: row[name] for name in fields if _plausible(name, row.get(name))})
    return TtsWritten(
        session_id=turn.parent.name,
        turn_index=turn_index,
        wav_path=wav_path,
        audio_path=audio_path,
        written_at=_written_at(row, wav_path),
        **fields,
    )


def _from_name(base: str, turn_index: int) -> dict[str, Any]:
    found = _NAME.fullmatch(base)
    if found is None:
        kind = TURN_KINDS.get(turn_index, "response")
        return _fields(kind, 0, UNKNOWN, UNKNOWN, None)
    target = int(found["target"]) if found["target"] else None
    kind = "comment" if target else "reply" if found["reply"] else "response"
    return _fields(kind, int(found["slot"]), found["agent"], found["voice"], target)


def _fields(
    kind: Kind, slot_id: int, agent_id: str, voice_profile: str, target_slot_id: int | None
) -> dict[str, Any]:
    return {
        "kind": kind,
        "slot_id": slot_id,
        "agent_id": agent_id,
        "voice_profile": voice_profile,
        "target_slot_id": target_slot_id,
    }


def _manifest_row(path: Path, audio_path: str) -> Mapping[str, Any]:
    """Return what the manifest says of one recording; nothing if it cannot be read."""
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        with path.open("rb") as stream:
            rows = json.loads(stream.read(MAX_BYTES))["utterances"]
        for row in rows:
            if isinstance(row, dict) and row.get("audio_path") == audio_path:
                return row
    return {}


def _plausible(name: str, value: object) -> bool:
    if name == "kind":
        return value in TURN_KINDS.values()
    if name in {"slot_id", "target_slot_id"}:
        return type(value) is int and value > 0
    return isinstance(value, str) and bool(value)


def _written_at(row: Mapping[str, Any], wav_path: Path) -> datetime:
    with suppress(KeyError, TypeError, ValueError):
        written_at = datetime.fromisoformat(row["written_at"])
        if written_at.tzinfo is not None:
            return written_at
    try:
        return datetime.fromtimestamp(wav_path.stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):  # a file may claim the year 10,000
        return datetime.now(UTC)
