"""The file of a session's signals, `signals.jsonl` beside its manifest.

    {"schema": 1, "sessionId": "20261122T180405Z-1f2e3d4c"}
    {"t": 0.0, "signal": "session_started", "sender": "workflow", "payload": {...}}
    {"t": 0.412093, "signal": "tts_written", "sender": "workflow", "payload": {...}}

`t` is in seconds since the session began; what the visitor spoke comes before. Paths below the
artifacts root are relative to it. A line without its end, of a process that was killed, is ignored.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from backend.errors import ReflectiveResonanceError
from backend.signals import TEXTS, Signal, VisitorText, defined
from backend.storage import Artifacts
from backend.tracking.payloads import PayloadError, from_plain, to_json

SCHEMA = 1
RECORDING_FILE = "signals.jsonl"


class RecordingError(ReflectiveResonanceError):
    """A file cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A signal and when it was sent, in seconds since its session began."""

    at_s: float
    signal: Signal[Any]
    event: Any


@dataclass(frozen=True, slots=True)
class Recording:
    """The signals of a session in order; `skipped` counts lines that mean nothing here, by why."""

    session_id: str
    signals: tuple[Recorded, ...]
    skipped: dict[str, int]

    @property
    def duration_s(self) -> float:
        """From the session's beginning to its last signal."""
        return self.signals[-1].at_s if self.signals else 0.0


def recording_path(artifacts: Artifacts, session_id: str) -> Path:
    """Return the file of a session, which need not exist."""
    return artifacts.session("tts", session_id) / RECORDING_FILE


def recording_header(session_id: str) -> bytes:
    """Return the first line."""
    return to_json({"schema": SCHEMA, "sessionId": session_id}) + b"\n"


def recording_line(
    at_s: float, signal: Signal[Any], event: Any, root: Path, *, keep_texts: bool
) -> bytes:
    """Return the line of a signal, without what the visitor says; `keep_texts`: with the rest.

    Raises
    ------
    PayloadError
        If the payload is no dataclass of plain types.
    """
    if not is_dataclass(event):
        raise PayloadError(f"{type(event).__name__} is no dataclass")
    row = {"t": round(at_s, 6), "signal": signal.name, "sender": signal.sender, "payload": event}
    return to_json(row, root, hidden=(VisitorText,) if keep_texts else TEXTS) + b"\n"


def read_recording(artifacts: Artifacts, session_id: str) -> Recording:
    """Return what was recorded of a session, or raise RecordingError."""
    try:
        contents = recording_path(artifacts, session_id).read_bytes()
    except FileNotFoundError:
        raise RecordingError(f"of the session {session_id} no signals were recorded") from None
    return parse_recording(contents, session_id, artifacts.root)


def parse_recording(contents: bytes, session_id: str, root: Path) -> Recording:
    """Return the signals in the contents of a file, or raise RecordingError."""
    lines = contents.split(b"\n")[:-1]  # what follows the last line end is cut off
    schema = _object(lines[0]).get("schema") if lines else None
    if schema != SCHEMA:
        raise RecordingError(
            f"the recording of {session_id} has the schema {schema}; this version reads {SCHEMA}"
        )
    skipped: dict[str, int] = {}
    signals = []
    for row in lines[1:]:
        try:
            signals.append(_recorded(_object(row), root))
        except RecordingError as error:
            skipped[str(error)] = skipped.get(str(error), 0) + 1
    return Recording(session_id, tuple(signals), skipped)


def recorded_sessions(artifacts: Artifacts) -> Iterator[str]:
    """Yield the ids of the sessions with recorded signals, newest first."""
    names = artifacts.session_ids("tts")
    return (name for name in names if recording_path(artifacts, name).is_file())


def _object(row: bytes) -> dict[str, Any]:
    try:
        found = json.loads(row)
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        found = None
    return found if isinstance(found, dict) else {}


def _recorded(row: dict[str, Any], root: Path) -> Recorded:
    signal = next((one for one in defined() if one.name == row.get("signal")), None)
    if signal is None:
        raise RecordingError(f"no signal {row.get('signal')} is defined here")
    try:
        event = from_plain(signal.payload, row["payload"], root)
        at_s = float(row["t"])
        if not isfinite(at_s):
            raise ValueError(at_s)
        return Recorded(at_s, signal, event)
    except (KeyError, TypeError, ValueError, OverflowError, PayloadError) as error:
        raise RecordingError(f"not a payload of {signal.name}") from error
