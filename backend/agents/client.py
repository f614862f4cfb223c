"""The model client: asks an agent's models one after the other until one gives a valid answer.

The time of a call is shared: each model gets an equal part of what is left among those still to be
asked, and what one does not use the next ones get. The rehearsal is not counted, because it answers
at once: so a first choice with the rehearsal behind it has the whole time. A model that breaks off
keeps its words to itself; only a whole, valid answer is ever heard.

Importing this module imports pydantic-ai, which takes over a second; so `Agents` does it when it
is constructed, and `backend.agents` stays cheap for a command that only lists the agents.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from traceback import extract_tb
from typing import Any, TypeVar

import structlog
from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, RunContext, ToolOutput
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)

from backend.agents.choices import OutputMode
from backend.agents.conversations import Exchange
from backend.agents.failures import as_agent_error
from backend.agents.models import Candidate, ModelFactory
from backend.agents.outputs import CommentSelection, SpokenResponse
from backend.agents.prompts import Prompts
from backend.agents.registry import AgentProfile
from backend.agents.retries import deadline
from backend.agents.states import States
from backend.agents.turns import AnyTurn, CommentTurn, ReplyTurn, ResponseTurn
from backend.errors import AgentError

log = structlog.get_logger(__name__)

REASKS = 1
"""How often a model is asked again after an output that is not valid."""

SpokenTurn = ResponseTurn | ReplyTurn
TurnT = TypeVar("TurnT", ResponseTurn | ReplyTurn, CommentTurn)
OutputT = TypeVar("OutputT")

_MARKERS: dict[OutputMode, Callable[[type[Any]], Any]] = {
    "tool": ToolOutput,
    "native": NativeOutput,
    "prompted": PromptedOutput,
}


class Client:
    """Asks the models of an agent for a turn's output, within a time limit."""

    def __init__(
        self, model_factory: ModelFactory, *, timeout_s: float, prompts: Prompts, states: States
    ) -> None:
        self._model_factory = model_factory
        self._timeout_s = timeout_s
        self._prompts = prompts
        self._states = states
        # An Agent with validators cannot change its output mode per run: so one for each mode.
        self._speakers: dict[OutputMode, Agent[SpokenTurn, SpokenResponse]] = {
            mode: Agent(
                output_type=marker(SpokenResponse),
                deps_type=SpokenTurn,
                name="speaker",
                retries={"output": REASKS},
            )
            for mode, marker in _MARKERS.items()
        }
        self._commentators: dict[OutputMode, Agent[CommentTurn, CommentSelection]] = {
            mode: Agent(
                output_type=marker(CommentSelection),
                deps_type=CommentTurn,
                name="commentator",
                retries={"output": REASKS},
            )
            for mode, marker in _MARKERS.items()
        }
        for commentator in self._commentators.values():
            commentator.output_validator(_check_target)

    async def speak(
        self, profile: AgentProfile, turn: SpokenTurn, history: Sequence[Exchange]
    ) -> SpokenResponse:
        """Return the response or the reply of `profile`; raise AgentError if there is none."""
        return await self._ask(self._speakers, profile, turn, history)

    async def select(
        self, profile: AgentProfile, turn: CommentTurn, history: Sequence[Exchange]
    ) -> CommentSelection:
        """Return the comment of `profile` on one of the turn's peers, or raise AgentError."""
        return await self._ask(self._commentators, profile, turn, history)

    async def _ask(
        self,
        agents: Mapping[OutputMode, Agent[TurnT, OutputT]],
        profile: AgentProfile,
        turn: TurnT,
        history: Sequence[Exchange],
    ) -> OutputT:
        """Ask each candidate until one answers; the failure told is that of the first."""
        ends_at = asyncio.get_running_loop().time() + self._timeout_s
        failures: list[AgentError] = []
        candidates: Sequence[Candidate] = ()
        try:
            candidates = self._model_factory(profile, turn)
        except Exception as error:  # noqa: BLE001 - one slot's failure touches nobody else
            failures.append(self._failure(error, profile, turn, "none"))
        for number, candidate in enumerate(candidates):
            limit_s = self._share_s(candidates[number:], ends_at)
            try:
                return await self._run(
                    agents[candidate.output], candidate, profile, turn, history, limit_s
                )
            except Exception as error:  # noqa: BLE001 - one slot's failure touches nobody else
                failures.append(self._failure(error, profile, turn, candidate.name))
                if candidate.is_first_choice:
                    self._states.failed(profile.id, failures[-1].type)
        raise failures[0] from None

    def _share_s(self, waiting: Sequence[Candidate], ends_at: float) -> float:
        """Return the time of the first of the `waiting` candidates."""
        if waiting[0].is_offline:
            return self._timeout_s
        left_s = ends_at - asyncio.get_running_loop().time()
        return max(0.0, left_s) / sum(not candidate.is_offline for candidate in waiting)

    async def _run(
        self,
        agent: Agent[TurnT, OutputT],
        candidate: Candidate,
        profile: AgentProfile,
        turn: TurnT,
        history: Sequence[Exchange],
        limit_s: float,
    ) -> OutputT:
        started = perf_counter()
        token = deadline.set(asyncio.get_running_loop().time() + limit_s)
        try:
            async with asyncio.timeout(limit_s):
                result = await agent.run(
                    self._prompts.turn(turn),
                    model=candidate.model,
                    deps=turn,
                    instructions=self._prompts.system(profile, turn.slot),
                    message_history=as_messages(history),
                )
        finally:
            deadline.reset(token)
        log.info(
            "agent answered",
            **_where(profile, turn),
            model=candidate.name,
            elapsed_ms=round((perf_counter() - started) * 1000),
        )
        self._states.answered(profile.id, candidate.name, is_first_choice=candidate.is_first_choice)
        return result.output

    def _failure(
        self, error: Exception, profile: AgentProfile, turn: AnyTurn, model: str
    ) -> AgentError:
        """Log `error` and return the slot's own.

        A provider's error and a validation error hold what was said and parts of keys: ours is
        raised after they were handled, so they cannot reach a log through somebody's traceback.
        """
        failure = as_agent_error(error, profile)
        log.warning(
            "agent failed",
            **_where(profile, turn),
            model=model,
            type=failure.type,
            error=_cause(error),
            at=_origin(error),
        )
        return failure


def _where(profile: AgentProfile, turn: AnyTurn) -> dict[str, object]:
    return {"agent_id": profile.id, "slot_id": turn.slot.slot_id, "kind": turn.kind}


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
