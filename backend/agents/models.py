"""The seam between the agents and the models: which model answers a turn.

`Agents` asks the factory once per call. A factory for real providers looks at `profile.model` and
ignores the turn; the rehearsal factory builds a model that closes over the turn. The second
argument is there for the rehearsal alone: pydantic-ai does not show a run's dependencies to a
`FunctionModel`, and reading slots and peers back out of a prose prompt would break with every edit
of the prompt. It also lets a chain of fallbacks end in a rehearsal model for the same turn.
"""

from typing import TYPE_CHECKING, Protocol

from backend.agents.registry import AgentProfile
from backend.agents.turns import AnyTurn

if TYPE_CHECKING:
    from pydantic_ai.models import Model


class ModelFactory(Protocol):
    """Return the model that answers `turn` for the agent `profile`."""

    def __call__(self, profile: AgentProfile, turn: AnyTurn, /) -> "Model":
        """Return the model; an exception becomes the slot's AgentError."""
        ...
