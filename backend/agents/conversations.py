"""What each slot remembers of earlier answers, in memory and bounded by tokens.

A memory belongs to a slot and the agent in it, outlives the session, and is emptied by `reset`.
It holds what the visitor said and what this agent answered; other agents' words never enter it, so
nothing that one model said can work on another one later.

Concurrent sessions share it without a lock: a call reads a snapshot before it asks the model and
adds one whole exchange afterwards, both without an `await`. A call that is still under way during
`reset` adds its exchange to the conversation that was dropped, not to the new one.
"""

from collections import deque
from dataclasses import dataclass, field

from backend.agents.tokens import estimate_tokens
from backend.agents.turns import Slot

MAX_EXCHANGES = 9
"""Exchanges kept per slot: three sessions of three turns."""
MAX_TOKENS = 1500
"""Tokens kept per slot, as estimated: what a model reads costs time and money."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One prompt, in the short form worth remembering, and the agent's answer."""

    prompt: str
    answer: str

    @property
    def tokens(self) -> int:
        """Tokens of both, as estimated."""
        return estimate_tokens(self.prompt) + estimate_tokens(self.answer)


@dataclass(slots=True)
class Conversation:
    """The exchanges of one slot, oldest first; at most `max_tokens` of them."""

    max_tokens: int = MAX_TOKENS
    _exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=MAX_EXCHANGES))

    def snapshot(self) -> tuple[Exchange, ...]:
        """Return the exchanges as they are now."""
        return tuple(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Remember `exchange`, forgetting the oldest ones beyond the bounds."""
        self._exchanges.append(exchange)
        while sum(kept.tokens for kept in self._exchanges) > self.max_tokens:
            self._exchanges.popleft()


class Conversations:
    """The conversations of all slots, each of at most `max_tokens`."""

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._max_tokens = max_tokens
        self._by_slot: dict[Slot, Conversation] = {}

    def of(self, slot: Slot) -> Conversation:
        """Return the conversation of `slot`, an empty one the first time."""
        return self._by_slot.setdefault(slot, Conversation(self._max_tokens))

    def reset(self) -> list[int]:
        """Forget everything; return the slots that had something to forget."""
        cleared = {slot.slot_id for slot, kept in self._by_slot.items() if kept.snapshot()}
        self._by_slot = {}
        return sorted(cleared)
