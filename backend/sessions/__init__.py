"""A session's manifest and the events of its stream."""

from backend.sessions.events import (
    Done,
    Event,
    SessionStart,
    SlotAudio,
    SlotDone,
    SlotError,
    SlotProblem,
    SlotStart,
    TurnDone,
    TurnStart,
)
from backend.sessions.manifest import (
    Manifest,
    Utterance,
    mark_interrupted,
    read,
    save,
)
from backend.sessions.stream import SessionStream

__all__ = [
    "Done",
    "Event",
    "Manifest",
    "SessionStart",
    "SessionStream",
    "SlotAudio",
    "SlotDone",
    "SlotError",
    "SlotProblem",
    "SlotStart",
    "TurnDone",
    "TurnStart",
    "Utterance",
    "mark_interrupted",
    "read",
    "save",
]
