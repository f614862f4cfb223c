"""The messages of `/v1/events`: the envelope, and one model for each payload.

    {"v": 1, "type": "turn.waves.ready", "sessionId": "20261122T180405Z-1f2e3d4c",
     "seq": 12, "cursor": 1795372800012, "ts": "2026-11-22T18:04:09.120Z", "payload": {...}}

`seq` counts the events of one session from 1, so a number left out is an event lost. `cursor`
counts the events of all sessions by one. It does not start at 1 but at the server's starting time
in milliseconds, so that it rises over restarts, too: `hello {cursor}` means the same to every run.
`hello.ack`, `hello.refused`, `replay.gap` and `heartbeat` are for one client or belong to no
session: their `sessionId` and `seq` are null, their `cursor` is that of the latest event.

Each run of the server has a name, `run`. Events of earlier runs cannot be replayed. A client that
sees another `run` forgets which (sessionId, seq) it has had.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from backend.signals import Kind
from plugins.mood.signals import Sentiment

VERSION = 1
Status = Literal["complete", "partial"]


class Payload(BaseModel):
    """Base of all payloads: camelCase outside, frozen inside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    type: ClassVar[str]
    """The `type` of the envelope."""

    def data(self) -> dict[str, Any]:
        """Return the payload as JSON has it."""
        return self.model_dump(by_alias=True)


class Wave(Payload):
    """One of the three tracks of an utterance."""

    wave: int = Field(ge=1, description="1, 2 or 3: which harmonic of the voice it follows.")
    path: str = Field(description="Absolute path on the server's machine.")
    url: str = Field(description="The same file over HTTP.")
    duration_ms: int
    sample_rate: int
    frames: int
    peak: float = Field(description="Largest absolute sample, full scale being 1.")
    rms: float = Field(description="Root mean square, full scale being 1.")


class ProfileWave(Wave):
    """A track by a profile beside V3; `wave` counts from 1 within its profile."""

    profile: str
    target_slot_id: int | None = Field(description="The dish it is made for; null: any.")


class Voice(Payload):
    """Who said something to whom, and the recording of it."""

    turn_index: int
    kind: Kind
    slot_id: int
    target_slot_id: int | None = Field(description="On whom it comments; null but in turn 2.")
    agent_id: str
    voice_profile: str
    audio_path: str = Field(description="The speech: absolute path on the server's machine.")
    audio_url: str


class Utterance(Voice):
    """An utterance with its waves; `durationMs` is that of its longest wave."""

    duration_ms: int
    waves: list[Wave]
    profile_waves: list[ProfileWave] = Field(
        default=[],
        exclude_if=lambda waves: not waves,
        description="Left out unless RR_WAVES_PROFILES names more than v3.",
    )


class Cue(Utterance):
    """An utterance with its start when all are played one after the other."""

    offset_ms: int


class Absent(Payload):
    """A slot that has no waves in this turn, and why."""

    turn_index: int
    slot_id: int
    reason: str


class SessionExpected(Payload):
    """A session has begun; its waves will come in `medianReadyMs` after each utterance."""

    type: ClassVar[str] = "session.expected"

    slots: list[int]
    turns: int
    median_ready_ms: int | None = Field(
        description="Median time from speech to waves, of the latest utterances; null at first."
    )


class UtteranceReady(Utterance):
    """The three waves of one utterance are complete and in place."""

    type: ClassVar[str] = "utterance.waves.ready"

    ready_ms: int | None = Field(description="Time from speech to waves; null if not known.")
    backfill: bool = Field(description="Whether they were made later than live.")


class UtteranceFailed(Voice):
    """One utterance gets no waves."""

    type: ClassVar[str] = "utterance.waves.failed"

    reason: str
    message: str
    backfill: bool


class TurnReady(Payload):
    """Every utterance of a turn has its waves, or will have none."""

    type: ClassVar[str] = "turn.waves.ready"

    turn_index: int
    status: Status
    utterances: list[Utterance] = Field(description="By slot.")
    missing: list[Absent]


class DialogueReady(Payload):
    """The comments on a slot and its reply, in play order, have their waves or will have none."""

    type: ClassVar[str] = "dialogue.waves.ready"

    slot_id: int = Field(description="Who replies.")
    commenters: list[int]
    status: Status
    utterances: list[Utterance] = Field(description="The comments by slot, then the reply.")
    missing: list[Absent]


class SessionReady(Payload):
    """Everything there will be of a session is there; the last event of it, but for backfills."""

    type: ClassVar[str] = "session.waves.ready"

    status: Status
    duration_ms: int = Field(description="Of all utterances, one after the other.")
    timeline: list[Cue] = Field(description="By turn and slot.")
    missing: list[Absent]


class UserSentiment(Payload):
    """The mood of what the visitor said, if the plugin mood runs."""

    type: ClassVar[str] = "user_sentiment"

    sentiment: Sentiment
    justification: str


class Heartbeat(Payload):
    """The server runs; sent every `intervalS` to every client."""

    type: ClassVar[str] = "heartbeat"

    run: str
    interval_s: float


class HelloAck(Payload):
    """The answer to `hello`; replayed events follow it."""

    type: ClassVar[str] = "hello.ack"

    run: str
    oldest: int | None = Field(description="Cursor of the oldest event that can be replayed.")
    replayed: int = Field(description="How many events follow.")
    restored: int = Field(0, description="Always 0; callbacks printed by version 0.1 read it.")


class ReplayGap(Payload):
    """Some events after the cursor asked for are no longer kept; those that are follow."""

    type: ClassVar[str] = "replay.gap"

    asked: int
    oldest: int | None


class HelloRefused(Payload):
    """The answer to a message that was meant as `hello` and is none; nothing else has changed."""

    type: ClassVar[str] = "hello.refused"

    reason: str


class Hello(Payload):
    """What a client may send: it asks for the events after `cursor`; without one, for none."""

    type: ClassVar[str] = "hello"

    cursor: int | None = Field(None, ge=0)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event of a session's stream; only the dialect full has it."""

    type: str
    json: str
    """Its data, as the stream has it."""

    def data(self) -> Any:
        """Return the data as JSON has it."""
        return json.loads(self.json)


Message = Payload | StreamEvent

EVENTS: tuple[type[Payload], ...] = (
    SessionExpected,
    UtteranceReady,
    UtteranceFailed,
    TurnReady,
    DialogueReady,
    SessionReady,
    UserSentiment,
)
"""What belongs to a session, is numbered and can be replayed."""
CONTROL: tuple[type[Payload], ...] = (Heartbeat, HelloAck, ReplayGap, HelloRefused)


def write(
    payload: Message, session_id: str | None, seq: int | None, cursor: int, ts: str
) -> dict[str, Any]:
    """Return what is sent of a payload."""
    return {
        "v": VERSION,
        "type": payload.type,
        "sessionId": session_id,
        "seq": seq,
        "cursor": cursor,
        "ts": ts,
        "payload": payload.data(),
    }
