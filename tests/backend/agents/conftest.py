"""A whole session of four turns, played without the workflow."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest

from backend.agents import (
    Agents,
    CommentSelection,
    Registry,
    Said,
    Slot,
    SpokenResponse,
)


@dataclass(frozen=True)
class Session:
    """What was said, per slot."""

    responses: dict[int, SpokenResponse]
    comments: dict[int, CommentSelection]
    replies: dict[int, SpokenResponse]
    summary: SpokenResponse

    def texts(self) -> list[str]:
        """Every utterance of the session."""
        return [
            *(spoken.text for spoken in self.responses.values()),
            *(selection.comment for selection in self.comments.values()),
            *(spoken.text for spoken in self.replies.values()),
            self.summary.text,
        ]


async def play(
    message: str,
    *,
    seed: int,
    agents: Agents | None = None,
    agent_ids: Sequence[str] = Registry().ids,
    backwards: bool = False,
) -> Session:
    """Play a session, all slots of a turn at once, begun in slot order or in reverse."""
    agents = agents or Agents(Registry())
    slots = [Slot(number, agent_id) for number, agent_id in enumerate(agent_ids, start=1)]
    if backwards:
        slots.reverse()

    said = await asyncio.gather(*(agents.respond(slot, message, seed=seed) for slot in slots))
    responses = {slot.slot_id: spoken for slot, spoken in zip(slots, said, strict=True)}
    peers = [Said(slot_id, "response", spoken.text) for slot_id, spoken in responses.items()]
    chosen = await asyncio.gather(
        *(
            agents.comment(slot, message, responses[slot.slot_id].text, peers, seed=seed)
            for slot in slots
        )
    )
    comments = {slot.slot_id: selection for slot, selection in zip(slots, chosen, strict=True)}
    replies = {}
    for slot in slots:
        received = [
            Said(slot_id, "comment", selection.comment)
            for slot_id, selection in comments.items()
            if selection.target_slot_id == slot.slot_id
        ]
        if received:
            replies[slot.slot_id] = await agents.reply(
                slot, message, responses[slot.slot_id].text, received, seed=seed
            )
    answered = [Said(slot_id, "response", one.text) for slot_id, one in sorted(responses.items())]
    compared = [
        Said(slot_id, "comment", one.comment, one.target_slot_id)
        for slot_id, one in sorted(comments.items())
    ]
    replied = [Said(slot_id, "reply", one.text) for slot_id, one in sorted(replies.items())]
    summary = await agents.summarize(
        Slot(0, agent_ids[0]), message, [*answered, *compared, *replied], seed=seed
    )
    return Session(responses, comments, replies, summary)


@pytest.fixture
def play_session() -> Callable[..., Awaitable[Session]]:
    """Return `play`."""
    return play
