"""The turns as data, for the prompts, the output validator and the rehearsal."""

from dataclasses import dataclass
from typing import ClassVar

from backend.signals import TURN_KINDS, Kind


@dataclass(frozen=True, slots=True)
class Slot:
    """One speaker under its dish, and the agent that speaks there."""

    slot_id: int
    agent_id: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a slot has said: on another one, if it has a target."""

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
    turn_index: ClassVar[int]

    @property
    def kind(self) -> Kind:
        """What an utterance of the turn is."""
        return TURN_KINDS[self.turn_index]


@dataclass(frozen=True, slots=True)
class ResponseTurn(Turn):
    """Turn 1: answer the visitor."""

    turn_index = 1


@dataclass(frozen=True, slots=True)
class CommentTurn(Turn):
    """Turn 2: comment on exactly one peer."""

    turn_index = 2
    own: str
    peers: tuple[Said, ...]

    @property
    def target_slot_ids(self) -> tuple[int, ...]:
        """The slots that may be commented on, in ascending order."""
        return tuple(sorted(peer.slot_id for peer in self.peers))


@dataclass(frozen=True, slots=True)
class ReplyTurn(Turn):
    """Turn 3: reply to the comments received."""

    turn_index = 3
    own: str
    comments: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class SummaryTurn(Turn):
    """Turn 4: sum up what was said, in the order of turns and slots."""

    turn_index = 4
    said: tuple[Said, ...]


AnyTurn = ResponseTurn | CommentTurn | ReplyTurn | SummaryTurn
