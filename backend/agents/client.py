"""The model client: one pydantic-ai Agent per output type, the model chosen per call.

Importing this module imports pydantic-ai, which takes over a second; so `Agents` does it when it
is constructed, and `backend.agents` stays cheap for a command that only lists the agents.
"""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from traceback import extract_tb
from typing import TypeVar

import structlog
from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)

from backend.agents.conversations import Exchange
from backend.agents.failures import as_agent_error
from backend.agents.models import ModelFactory
from backend.agents.outputs import CommentSelection, SpokenResponse
from backend.agents.prompts import system_prompt, turn_prompt
from backend.agents.registry import AgentProfile
from backend.agents.turns import CommentTurn, ReplyTurn, ResponseTurn

log = structlog.get_logger(__name__)

REASKS = 1
"""How often a model is asked again after an output that is not valid."""

SpokenTurn = ResponseTurn | ReplyTurn
TurnT = TypeVar("TurnT", ResponseTurn | ReplyTurn, CommentTurn)
OutputT = TypeVar("OutputT")


class Client:
    """Asks the model of an agent for a turn's output, within a time limit."""

    def __init__(self, model_factory: ModelFactory, *, timeout_s: float) -> None:
        self._model_factory = model_factory
        self._timeout_s = timeout_s
        self._speaker: Agent[SpokenTurn, SpokenResponse] = Agent(
            output_type=SpokenResponse, name="speaker", retries={"output": REASKS}
        )
        self._commentator: Agent[CommentTurn, CommentSelection] = Agent(
            output_type=CommentSelection, name="commentator", retries={"output": REASKS}
        )
        self._commentator.output_validator(_check_target)

    async def speak(
        self, profile: AgentProfile, turn: SpokenTurn, history: Sequence[Exchange]
    ) -> SpokenResponse:
        """Return the response or the reply of `profile`; raise AgentError if there is none."""
        return await self._run(self._speaker, profile, turn, history)

    async def select(
        self, profile: AgentProfile, turn: CommentTurn, history: Sequence[Exchange]
    ) -> CommentSelection:
        """Return the comment of `profile` on one of the turn's peers, or raise AgentError."""
        return await self._run(self._commentator, profile, turn, history)

    async def _run(
        self,
        agent: Agent[TurnT, OutputT],
        profile: AgentProfile,
        turn: TurnT,
        history: Sequence[Exchange],
    ) -> OutputT:
        started = perf_counter()
        where = {
            "agent_id": profile.id,
            "slot_id": turn.slot.slot_id,
            "kind": turn.kind,
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await agent.run(
                    turn_prompt(turn),
                    model=self._model_factory(profile, turn),
                    deps=turn,
                    instructions=system_prompt(profile, turn.slot),
                    message_history=as_messages(history),
                )
        except Exception as error:  # noqa: BLE001 - one slot's failure touches nobody else
            failure = as_agent_error(error, profile)
            log.warning(
                "agent failed", **where, type=failure.type, error=_cause(error), at=_origin(error)
            )
            # A provider's error and a validation error hold what was said and parts of keys: not
            # chained, they cannot reach a log through somebody's traceback.
            raise failure from None
        log.debug("agent answered", **where, elapsed_ms=round((perf_counter() - started) * 1000))
        return result.output


def as_messages(history: Sequence[Exchange]) -> list[ModelMessage]:
    """Return remembered exchanges as pydantic-ai's message history.

    They are plain texts and not the run's own messages: a slot's model, and its way of structured
    output, may change from one session to the next.
    """
    messages: list[ModelMessage] = []
    for exchange in history:
        messages.append(ModelRequest(parts=[UserPromptPart(exchange.prompt)]))
        messages.append(ModelResponse(parts=[TextPart(exchange.answer)]))
    return messages


def _check_target(
    context: RunContext[CommentTurn], selection: CommentSelection
) -> CommentSelection:
    """Refuse a target that is not one of the peers; the model is told and asked again."""
    targets = context.deps.target_slot_ids
    if selection.target_slot_id not in targets:
        allowed = " or ".join(map(str, targets))
        raise ModelRetry(
            f"target_slot_id {selection.target_slot_id} is not one of the other speakers: "
            f"choose {allowed}"
        )
    return selection


def _cause(error: BaseException) -> str:
    """Return the class names down the chain of causes, which hold no words."""
    names = [type(error).__name__]
    while (cause := error.__cause__) is not None:
        names.append(type(cause).__name__)
        error = cause
    return " < ".join(names)


def _origin(error: BaseException) -> str:
    """Return the file and line that raised `error`."""
    frames = extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
