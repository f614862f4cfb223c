"""What the mood plugin tells: one signal for each session."""

from dataclasses import dataclass
from typing import Literal

from backend.signals import EVENT_LOOP, VisitorText, define

Sentiment = Literal["positive", "neutral", "negative"]


@dataclass(frozen=True, slots=True)
class MoodRead:
    """Payload of `mood_read`: the sentiment of a visitor's words."""

    session_id: str
    sentiment: Sentiment
    reason: VisitorText
    """A short sentence; it may quote the visitor."""
    read_by: str
    """`model` or `word list`."""


mood_read = define(
    "mood_read",
    MoodRead,
    "The sentiment of what a visitor said, within a second of the session's start.",
    sender="plugin mood",
    thread=EVENT_LOOP,
)

sent = (mood_read,)
