"""The state of each agent: ready, without its key or failing, and which model answered last."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

State = Literal["ready", "no key", "failing"]


@dataclass(frozen=True, slots=True)
class AgentState:
    """The state of an agent's first choice; `since` and `reason` are set while it fails."""

    state: State = "ready"
    since: datetime | None = None
    reason: str | None = None
    answered_by: str | None = None


class States:
    """The states of all agents; those in `without_key` keep theirs when a fallback answers."""

    def __init__(self, without_key: Iterable[str] = ()) -> None:
        self._states = {agent_id: AgentState("no key") for agent_id in without_key}

    def of(self, agent_id: str) -> AgentState:
        """Return the state of an agent, ready at first."""
        return self._states.get(agent_id, AgentState())

    def answered(self, agent_id: str, name: str, *, is_first_choice: bool) -> None:
        """Note that the model `name` has answered for the agent."""
        if is_first_choice:
            self._states[agent_id] = AgentState(answered_by=name)
        else:
            self._states[agent_id] = replace(self.of(agent_id), answered_by=name)

    def failed(self, agent_id: str, reason: str) -> None:
        """Note that the first choice has failed; the time of the first failure is kept."""
        before = self.of(agent_id)
        self._states[agent_id] = AgentState(
            "failing", before.since or datetime.now(UTC), reason, before.answered_by
        )
