"""The state of a session's utterances, its events for readers, and a queue for a plugin's work."""

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
from backend.tracking.queue import EventQueue
from backend.tracking.tracker import NOT_RUNNING, TRACKED_SIGNALS, SessionTracker

__all__ = [
    "NOT_RUNNING",
    "TRACKED_SIGNALS",
    "DialogueOver",
    "EventLog",
    "EventQueue",
    "Missing",
    "SessionExpected",
    "SessionOver",
    "SessionTracker",
    "TrackedEvent",
    "TurnOver",
    "UtteranceDone",
    "UtteranceMissing",
]
