"""What each slot remembers of earlier sessions, in memory and bounded by tokens.

Other agents' words are never in it, so what one model said cannot instruct another later. Sessions
share it without a lock: a snapshot is read before the model is asked, and one exchange is added
afterwards. A call that runs during `reset` adds to the conversation that was dropped.
"""

from collections import deque
from dataclasses import dataclass, field

from backend.agents.tokens import estimate_tokens
from backend.agents.turns import Slot

MAX_EXCHANGES = 9
"""Exchanges kept per slot: three sessions of three turns."""
MAX_TOKENS = 1500
"""Tokens kept per slot, as estimated."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One prompt in its short form, and the agent's answer."""

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
