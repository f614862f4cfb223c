"""The events of a session's stream, as the web client and TouchDesigner know them.

In the order they come: `session.start`, then for each turn `turn.start`, the slots'
`slot.start`, `slot.done`, `slot.audio` (or `slot.error` at either stage) and `turn.done`, and at
the very end, always, `done`. The slots of one turn run side by side, so their events interleave;
those of one slot keep their order.
"""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from backend.errors import SlotErrorType
from backend.signals import Kind


class Event(BaseModel):
    """Base of all events; serialised in camelCase, absent fields left out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)
    name: ClassVar[str]

    session_id: str

    def data(self) -> str:
        """Return the JSON of the event's `data:` line."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class SessionStart(Event):
    """The session has its id."""

    name = "session.start"


class TurnStart(Event):
    """A turn begins."""

    name = "turn.start"
    turn_index: int


class SlotEvent(Event):
    """Base of what one slot does in one turn."""

    turn_index: int
    kind: Kind
    slot_id: int
    agent_id: str


class SlotStart(SlotEvent):
    """The slot's agent was asked."""

    name = "slot.start"


class SlotDone(SlotEvent):
    """The slot's agent has answered; in turn 2 `text` is its comment on `target_slot_id`."""

    name = "slot.done"
    text: str
    voice_profile: str
    target_slot_id: int | None = None


class SlotAudio(SlotEvent):
    """The utterance is a finished WAV at `/v1/audio/<audio_path>`."""

    name = "slot.audio"
    voice_profile: str
    audio_format: Literal["wav"] = "wav"
    audio_path: str


class SlotProblem(BaseModel):
    """Why a slot fell silent."""

    type: SlotErrorType
    message: str


class SlotError(SlotEvent):
    """The slot does not go on in this turn; the others do."""

    name = "slot.error"
    error: SlotProblem


class TurnDone(Event):
    """The turn is over; `slot_count` slots spoke in it."""

    name = "turn.done"
    turn_index: int
    slot_count: int


class Done(Event):
    """The session is over; `completed_slots` slots came through without an error."""

    name = "done"
    completed_slots: int
    turns: int = 3
