"""The seam between the agents and the models: which models may answer a turn.

`Agents` asks the factory once per call and tries what it returns in turn. A factory for real
providers looks at the profile's chain and ignores the turn; the rehearsal builds a model that
closes over the turn. The second argument is there for the rehearsal alone: pydantic-ai does not
show a run's dependencies to a `FunctionModel`, and reading slots and peers back out of a prose
prompt would break with every edit of the prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from backend.agents.choices import OFFLINE, OutputMode
from backend.agents.registry import AgentProfile
from backend.agents.turns import AnyTurn

if TYPE_CHECKING:
    from pydantic_ai.models import Model


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer: `name` is what log and state call it."""

    model: "Model"
    name: str
    output: OutputMode = "tool"
    is_first_choice: bool = True

    @property
    def is_offline(self) -> bool:
        """Whether it answers at once, so that it needs no share of the time."""
        return self.name == OFFLINE


class ModelFactory(Protocol):
    """Return the models that may answer `turn` for the agent `profile`, best first."""

    def __call__(self, profile: AgentProfile, turn: AnyTurn, /) -> "Sequence[Candidate]":
        """Return the candidates; an exception becomes the slot's AgentError."""
        ...
