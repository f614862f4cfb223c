"""The turns as data, for the prompts, the output validator and the rehearsal."""

from dataclasses import dataclass
from typing import ClassVar

from backend.signals import Kind


@dataclass(frozen=True, slots=True)
class Slot:
    """One speaker under its dish, and the agent that speaks there."""

    slot_id: int
    agent_id: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Another slot's turn-1 response."""

    slot_id: int
    agent_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Received:
    """A comment that another slot made on this slot's response."""

    from_slot_id: int
    agent_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance of a session, for its summary."""

    slot_id: int
    kind: Kind
    text: str
    target_slot_id: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What every turn has: who speaks, what the visitor said, and the session's seed."""

    slot: Slot
    message: str
    seed: int


@dataclass(frozen=True, slots=True)
class ResponseTurn(Turn):
    """Turn 1: answer the visitor."""

    kind: ClassVar[Kind] = "response"


@dataclass(frozen=True, slots=True)
class CommentTurn(Turn):
    """Turn 2: comment on exactly one peer."""

    kind: ClassVar[Kind] = "comment"
    own: str
    peers: tuple[Peer, ...]

    @property
    def target_slot_ids(self) -> tuple[int, ...]:
        """The slots that may be commented on, in ascending order."""
        return tuple(sorted(peer.slot_id for peer in self.peers))


@dataclass(frozen=True, slots=True)
class ReplyTurn(Turn):
    """Turn 3: reply to the comments received."""

    kind: ClassVar[Kind] = "reply"
    own: str
    comments: tuple[Received, ...]


@dataclass(frozen=True, slots=True)
class SummaryTurn(Turn):
    """Turn 4: sum up what was said, in the order of turns and slots."""

    kind: ClassVar[Kind] = "summary"
    said: tuple[Said, ...]


AnyTurn = ResponseTurn | CommentTurn | ReplyTurn | SummaryTurn
