"""What becomes of the utterances of a session, and a queue for a plugin's work."""

from backend.tracking.events import (
    DialogueOver,
    Followed,
    Missing,
    SessionExpected,
    SessionOver,
    TurnOver,
    UtteranceDone,
    UtteranceMissing,
)
from backend.tracking.queue import Relay
from backend.tracking.settling import Outcome, Settling
from backend.tracking.tracker import Following

__all__ = [
    "DialogueOver",
    "Followed",
    "Following",
    "Missing",
    "Outcome",
    "Relay",
    "SessionExpected",
    "SessionOver",
    "Settling",
    "TurnOver",
    "UtteranceDone",
    "UtteranceMissing",
]
