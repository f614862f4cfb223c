"""How each agent is: ready, without its key, or failing since when, and who really answers for it.

A state tells of the model that is meant to answer. An agent that is failing may well be heard: then
`answered_by` names the fallback.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

State = Literal["ready", "no key", "failing"]


@dataclass(frozen=True, slots=True)
class AgentState:
    """How one agent is; `since` and `reason` are there while it is failing."""

    state: State = "ready"
    since: datetime | None = None
    reason: str | None = None
    answered_by: str | None = None


class States:
    """The states of all agents; those in `without_key` keep theirs whatever their fallbacks do."""

    def __init__(self, without_key: Iterable[str] = ()) -> None:
        self._states = {agent_id: AgentState("no key") for agent_id in without_key}

    def of(self, agent_id: str) -> AgentState:
        """Return the state of an agent, ready until it was heard of."""
        return self._states.get(agent_id, AgentState())

    def answered(self, agent_id: str, name: str, *, is_first_choice: bool) -> None:
        """Note that the model `name` has answered for the agent."""
        if is_first_choice:
            self._states[agent_id] = AgentState(answered_by=name)
        else:
            self._states[agent_id] = replace(self.of(agent_id), answered_by=name)

    def failed(self, agent_id: str, reason: str) -> None:
        """Note that the model that is meant to answer has not; the first time is kept."""
        before = self.of(agent_id)
        self._states[agent_id] = AgentState(
            "failing", before.since or datetime.now(UTC), reason, before.answered_by
        )
