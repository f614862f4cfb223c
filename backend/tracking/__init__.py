"""A session's utterances, events and recording, payloads as JSON, and a queue for plugins' work."""

from backend.tracking.event_log import EventLog
from backend.tracking.events import (
    DialogueOver,
    Missing,
    SessionExpected,
    SessionOver,
    TrackedEvent,
    TurnOver,
    UtteranceDone,
    UtteranceMissing,
)
from backend.tracking.payloads import PayloadError, from_plain, to_json
from backend.tracking.queue import EventQueue, Sent
from backend.tracking.recording import (
    RECORDING_FILE,
    Recorded,
    Recording,
    RecordingError,
    parse_recording,
    read_recording,
    recorded_sessions,
    recording_header,
    recording_line,
    recording_path,
)
from backend.tracking.tracker import NOT_RUNNING, TRACKED_SIGNALS, SessionTracker

__all__ = [
    "NOT_RUNNING",
    "RECORDING_FILE",
    "TRACKED_SIGNALS",
    "DialogueOver",
    "EventLog",
    "EventQueue",
    "Missing",
    "PayloadError",
    "Recorded",
    "Recording",
    "RecordingError",
    "Sent",
    "SessionExpected",
    "SessionOver",
    "SessionTracker",
    "TrackedEvent",
    "TurnOver",
    "UtteranceDone",
    "UtteranceMissing",
    "from_plain",
    "parse_recording",
    "read_recording",
    "recorded_sessions",
    "recording_header",
    "recording_line",
    "recording_path",
    "to_json",
]
