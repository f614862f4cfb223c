from backend.agents import Slot
from backend.agents.conversations import (
    MAX_EXCHANGES,
    MAX_TOKENS,
    Conversation,
    Conversations,
    Exchange,
)

SLOT = Slot(1, "gpt-4o")


def test_forgets_the_oldest_exchange_beyond_the_count() -> None:
    """A conversation keeps the latest exchanges only."""
    conversation = Conversation()

    for number in range(MAX_EXCHANGES + 3):
        conversation.add(Exchange(f"q{number}", "a"))

    kept = [exchange.prompt for exchange in conversation.snapshot()]
    assert kept == [f"q{number}" for number in range(3, MAX_EXCHANGES + 3)]


def test_forgets_the_oldest_exchanges_beyond_the_tokens() -> None:
    """Two exchanges that do not fit together leave the later one."""
    conversation = Conversation()

    conversation.add(Exchange("old", "x" * 4 * (MAX_TOKENS - 2)))
    conversation.add(Exchange("new", "y" * 100))

    assert [exchange.prompt for exchange in conversation.snapshot()] == ["new"]


def test_an_exchange_beyond_all_bounds_is_not_kept() -> None:
    """An exchange longer than the memory leaves it empty rather than too full."""
    conversation = Conversation()

    conversation.add(Exchange("q", "x" * 4 * (MAX_TOKENS + 1)))

    assert conversation.snapshot() == ()


def test_a_snapshot_does_not_change() -> None:
    """What a call reads at its start stays as it was while others add to it."""
    conversation = Conversation()
    conversation.add(Exchange("q", "a"))
    before = conversation.snapshot()

    conversation.add(Exchange("q2", "a2"))

    assert len(before) == 1


def test_memory_belongs_to_slot_and_agent() -> None:
    """An agent that comes into a slot does not remember as its own what another said there."""
    conversations = Conversations()
    conversations.of(SLOT).add(Exchange("q", "a"))

    assert conversations.of(Slot(1, "gpt-5.1")).snapshot() == ()
    assert len(conversations.of(SLOT).snapshot()) == 1


def test_reset_names_slots_that_had_something() -> None:
    """Reset names slots, not agents, and not those that were only looked at."""
    conversations = Conversations()
    conversations.of(SLOT).add(Exchange("q", "a"))
    conversations.of(Slot(1, "gpt-5.1")).add(Exchange("q", "a"))
    conversations.of(Slot(2, "gpt-5.1")).add(Exchange("q", "a"))
    conversations.of(Slot(3, "gpt-5.1"))

    assert conversations.reset() == [1, 2]
    assert conversations.reset() == []
    assert conversations.of(SLOT).snapshot() == ()
