"""The `TtsWritten` that a recording on the disk was announced with.

The speech's own `session.json` says it. It is written at the end of a turn and may be missing, torn
or wrong after a power cut, so the file's name is enough: it says all but the time.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.signals import TURN_KINDS, TtsWritten
from backend.storage import SESSION_FILE, Artifacts, SpeechName, turn_index_of

MAX_BYTES = 2**20
UNKNOWN = "unknown"


def source_of(wav_path: Path, artifacts: Artifacts) -> TtsWritten:
    """Return the event of the recording at `<root>/tts/sessions/<session_id>/turn_<N>/`.

    Whatever is neither in the session's manifest nor in the file's name is "unknown" or 0.
    """
    turn = wav_path.parent
    audio_path = artifacts.relative(wav_path)
    turn_index = turn_index_of(turn.name) or 0
    unknown = SpeechName(0, TURN_KINDS.get(turn_index, "response"), UNKNOWN, UNKNOWN)
    fields = asdict(SpeechName.parse(wav_path.name) or unknown)
    row = _manifest_row(turn.parent / SESSION_FILE, audio_path)
    fields.update({name: row[name] for name in fields if _plausible(name, row.get(name))})
    return TtsWritten(
        session_id=turn.parent.name,
        turn_index=turn_index,
        wav_path=wav_path,
        audio_path=audio_path,
        written_at=_written_at(row, wav_path),
        **fields,
    )


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
