"""Asks a model for a turn's output with pydantic-ai, whose import takes about a second."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, RunContext, ToolOutput
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel

from backend.agents.choices import OutputMode
from backend.agents.conversations import Exchange
from backend.agents.outputs import CommentSelection, JudgedT, SpokenResponse
from backend.agents.turns import AnyTurn, CommentTurn

REASKS = 1
"""How often a model is asked again after an output that is not valid."""


_MARKERS: dict[OutputMode, Callable[[type[Any]], Any]] = {
    "tool": ToolOutput,
    "native": NativeOutput,
    "prompted": PromptedOutput,
}


class ModelRuns:
    """Pydantic-ai's agents, one for each output type and mode: a mode cannot change per run."""

    def __init__(self) -> None:
        self._agents: dict[tuple[type[BaseModel], OutputMode], Agent[Any, Any]] = {}
        for mode in _MARKERS:
            self._agent(SpokenResponse, mode)
            self._agent(CommentSelection, mode)

    async def warm_up(self) -> None:
        """Let a test model answer: pydantic-ai loads its list of prices for it."""
        await Agent(TestModel()).run("")

    async def run(
        self,
        model: Model,
        output_type: type[JudgedT],
        mode: OutputMode,
        turn: AnyTurn,
        *,
        prompt: str,
        instructions: str,
        history: Sequence[Exchange],
    ) -> JudgedT:
        """Return the valid output of `model`, asked again at most `REASKS` times."""
        result = await self._agent(output_type, mode).run(
            prompt,
            model=model,
            deps=turn,
            instructions=instructions,
            message_history=as_messages(history),
        )
        output: JudgedT = result.output
        return output

    def _agent(self, output_type: type[BaseModel], mode: OutputMode) -> Agent[Any, Any]:
        key = output_type, mode
        if key not in self._agents:
            marker = _MARKERS[mode](output_type)
            agent: Agent[Any, Any] = Agent(
                output_type=marker, name="speaker", retries={"output": REASKS}
            )
            if output_type is CommentSelection:
                agent.output_validator(_check_target)
            self._agents[key] = agent
        return self._agents[key]


def as_messages(history: Sequence[Exchange]) -> list[ModelMessage]:
    """Return remembered exchanges as plain texts, which fit every model and output mode."""
    messages: list[ModelMessage] = []
    for exchange in history:
        messages.append(ModelRequest(parts=[UserPromptPart(exchange.prompt)]))
        messages.append(ModelResponse(parts=[TextPart(exchange.answer)]))
    return messages


def _check_target(
    context: RunContext[CommentTurn], selection: CommentSelection
) -> CommentSelection:
    """Raise ModelRetry for a target that is not one of the peers."""
    targets = context.deps.target_slot_ids
    if selection.target_slot_id not in targets:
        allowed = " or ".join(map(str, targets))
        raise ModelRetry(
            f"target_slot_id {selection.target_slot_id} is not one of the other speakers: "
            f"choose {allowed}"
        )
    return selection
