"""The interface between agents and models: the candidates that may answer a turn."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.agents.choices import OFFLINE, OutputMode
from backend.agents.registry import AgentProfile
from backend.agents.turns import AnyTurn

if TYPE_CHECKING:
    from pydantic_ai.models import Model


deadline: ContextVar[float] = ContextVar("deadline")
"""The end of the present call on the event loop's clock."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer, or None for the rehearsal; log and state call it `name`."""

    model: "Model | None" = None
    name: str = OFFLINE
    output: OutputMode = "tool"
    is_first_choice: bool = True

    @property
    def is_offline(self) -> bool:
        """Whether it is the rehearsal, which answers at once."""
        return self.model is None


ModelFactory = Callable[[AgentProfile, AnyTurn], Sequence[Candidate]]
"""Returns the models that may answer a turn for an agent, best first."""
