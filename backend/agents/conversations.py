"""What each slot remembers of earlier answers, in memory and bounded.

A memory belongs to a slot and the agent in it, outlives the session, and is emptied by `reset`.
It holds what the visitor said and what this agent answered; other agents' words never enter it, so
nothing that one model said can work on another one later.

Concurrent sessions share it without a lock: a call reads a snapshot before it asks the model and
adds one whole exchange afterwards, both without an `await`. A call that is still under way during
`reset` adds its exchange to the conversation that was dropped, not to the new one.
"""

from collections import deque
from dataclasses import dataclass, field

from backend.agents.turns import Slot

MAX_EXCHANGES = 9
"""Exchanges kept per slot: three sessions of three turns."""
MAX_CHARACTERS = 6000
"""Characters kept per slot, about 1,500 tokens: what a model reads costs it time."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One prompt, in the short form worth remembering, and the agent's answer."""

    prompt: str
    answer: str

    @property
    def length(self) -> int:
        """Characters of both."""
        return len(self.prompt) + len(self.answer)


@dataclass(slots=True)
class Conversation:
    """The exchanges of one slot, oldest first."""

    _exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=MAX_EXCHANGES))

    def snapshot(self) -> tuple[Exchange, ...]:
        """Return the exchanges as they are now."""
        return tuple(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Remember `exchange`, forgetting the oldest ones beyond the bounds."""
        self._exchanges.append(exchange)
        while sum(kept.length for kept in self._exchanges) > MAX_CHARACTERS:
            self._exchanges.popleft()


class Conversations:
    """The conversations of all slots."""

    def __init__(self) -> None:
        self._by_slot: dict[Slot, Conversation] = {}

    def of(self, slot: Slot) -> Conversation:
        """Return the conversation of `slot`, an empty one the first time."""
        return self._by_slot.setdefault(slot, Conversation())

    def reset(self) -> int:
        """Forget everything; return the number of slots that had something to forget."""
        cleared = {slot.slot_id for slot, kept in self._by_slot.items() if kept.snapshot()}
        self._by_slot = {}
        return len(cleared)
