"""The file of a session's signals, `signals.jsonl` beside its manifest.

    {"schema": 1, "sessionId": "20261122T180405Z-1f2e3d4c"}
    {"t": 0.0, "signal": "session_started", "sender": "workflow", "payload": {...}}
    {"t": 0.412093, "signal": "tts_written", "sender": "workflow", "payload": {...}}

`t` is in seconds since the session began; what the visitor spoke comes before. Paths below the
artifacts root are relative to it. A line without its end, of a process that was killed, is ignored.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from backend.errors import ReflectiveResonanceError
from backend.signals import AgentText, EventPublished, Signal, VisitorText, defined
from backend.storage import Artifacts

SCHEMA = 1
RECORDING_FILE = "signals.jsonl"


class RecordingError(ReflectiveResonanceError):
    """A payload cannot be written, or a file cannot be read; the message says why."""


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
    return _line({"schema": SCHEMA, "sessionId": session_id}, None)


def recording_line(
    at_s: float, signal: Signal[Any], event: Any, root: Path, *, keep_texts: bool
) -> bytes:
    """Return the line of a signal, without what the visitor says; `keep_texts`: with the rest.

    Raises
    ------
    RecordingError
        If the payload is no dataclass of plain types.
    """
    if not is_dataclass(event):
        raise RecordingError(f"{type(event).__name__} is no dataclass")
    try:
        payload = _adapter(type(event)).dump_python(_without_texts(event, keep_texts))
        row = {"t": round(at_s, 6), "signal": signal.name, "sender": signal.sender}
        return _line({**row, "payload": payload}, root)
    except Exception as error:
        raise RecordingError(f"{type(event).__name__} is not of plain types: {error}") from error


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
    names = sorted((entry.name for entry in artifacts.session_entries("tts")), reverse=True)
    return (name for name in names if recording_path(artifacts, name).is_file())


def _line(row: dict[str, Any], root: Path | None) -> bytes:
    def plain(value: object) -> str:
        if isinstance(value, Path):
            inside = root is not None and value.is_relative_to(root)
            return value.relative_to(root).as_posix() if inside and root else str(value)
        if isinstance(value, datetime):
            return value.isoformat()
        raise TypeError(f"{type(value).__name__} is no plain type")

    text = json.dumps(row, default=plain, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"


def _object(row: bytes) -> dict[str, Any]:
    try:
        found = json.loads(row)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _recorded(row: dict[str, Any], root: Path) -> Recorded:
    signal = next((one for one in defined() if one.name == row.get("signal")), None)
    if signal is None:
        raise RecordingError(f"no signal {row.get('signal')} is defined here")
    try:
        event = _adapter(signal.payload).validate_python(row["payload"])
        return Recorded(float(row["t"]), signal, _with_root(event, root))
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise RecordingError(f"not a payload of {signal.name}") from error


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(payload: type[Any]) -> TypeAdapter[Any]:
    """Return what reads and writes payloads of a class; building it takes a millisecond."""
    if payload not in _adapters:
        _adapters[payload] = TypeAdapter(payload)
    return _adapters[payload]


def _changed(event: Any, change: Any) -> Any:
    """Return `event` with `change(name, value)` of each field, also in payloads within it."""
    values = {one.name: getattr(event, one.name) for one in fields(event)}
    new = {
        name: _changed(value, change) if is_dataclass(value) else change(event, name, value)
        for name, value in values.items()
    }
    changed = {name: value for name, value in new.items() if value is not values[name]}
    return replace(event, **changed) if changed else event


def _with_root(event: Any, root: Path) -> Any:
    def absolute(_: object, __: str, value: Any) -> Any:
        if isinstance(value, Path):
            return root / value
        if isinstance(value, tuple) and any(isinstance(one, Path) for one in value):
            return tuple(root / one if isinstance(one, Path) else one for one in value)
        return value

    return _changed(event, absolute)


def _without_texts(event: Any, keep_texts: bool) -> Any:
    hidden = {VisitorText} if keep_texts else {VisitorText, AgentText}

    def without(owner: Any, name: str, value: Any) -> Any:
        if value and hidden & _types(type(owner), name):
            return ""
        if isinstance(owner, EventPublished) and name == "data" and not keep_texts:
            data = json.loads(value)
            return json.dumps({**data, "text": ""}) if "text" in data else value
        return value

    return _changed(event, without)


def _types(payload: type[Any], name: str) -> frozenset[Any]:
    """Return the type of a field, and those that it is a union of."""
    hint = get_type_hints(payload, include_extras=True)[name]
    return frozenset({hint, *get_args(hint)})
