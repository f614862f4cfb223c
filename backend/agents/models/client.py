"""The model client: asks an agent's models in order until one gives a valid answer.

Each model gets an equal part of the time that is left; the rehearsal, which answers at once, needs
none. A model that keeps failing is paused, except the last.
"""

import asyncio
from collections.abc import Sequence
from functools import cached_property
from time import perf_counter
from traceback import extract_tb
from typing import TYPE_CHECKING

import structlog

from backend.agents.conversations import Exchange
from backend.agents.models.candidates import Candidate, ModelFactory, deadline
from backend.agents.outputs import JudgedT, OutputT
from backend.agents.prompts import Prompts
from backend.agents.registry import AgentProfile
from backend.agents.rehearsal import play
from backend.agents.states import States
from backend.agents.turns import AnyTurn, ResponseTurn, Slot
from backend.errors import AgentError
from backend.services import Pauses

if TYPE_CHECKING:
    from backend.agents.models.runs import ModelRuns

log = structlog.get_logger(__name__)


class Client:
    """Asks the models of an agent for a turn's output, within a time limit."""

    def __init__(
        self, model_factory: ModelFactory, *, timeout_s: float, prompts: Prompts, states: States
    ) -> None:
        self._model_factory = model_factory
        self._timeout_s = timeout_s
        self._prompts = prompts
        self._states = states
        self._pauses = Pauses()

    def prepare(self) -> None:
        """Import pydantic-ai and let it answer once, so that no visitor waits for that."""
        asyncio.run(self._runs.warm_up())

    async def ask(
        self,
        output_type: type[OutputT],
        profile: AgentProfile,
        turn: AnyTurn,
        history: Sequence[Exchange],
    ) -> OutputT:
        """Return the output of the first candidate that answers, else raise the first failure."""
        ends_at = asyncio.get_running_loop().time() + self._timeout_s
        failures: list[AgentError] = []
        candidates: Sequence[Candidate] = ()
        try:
            candidates = self._without_paused(profile, self._model_factory(profile, turn))
        except Exception as error:  # noqa: BLE001 - one slot's failure affects no other
            failures.append(self._failure(error, profile, turn, "none"))
        for number, candidate in enumerate(candidates):
            limit_s = self._share_s(candidates[number:], ends_at)
            try:
                output = await self._run(output_type, candidate, profile, turn, history, limit_s)
            except Exception as error:  # noqa: BLE001 - one slot's failure affects no other
                failures.append(self._failure(error, profile, turn, candidate.name))
                self._count(profile, candidate, failures[-1], is_last=candidate is candidates[-1])
            else:
                self._pauses.succeeded(_key(profile, candidate))
                return output
        raise failures[0] from None

    async def judge(
        self, profile: AgentProfile, instructions: str, text: str, output_type: type[JudgedT]
    ) -> JudgedT:
        """Return the first model's output for a text; raise AgentError if no model gives one."""
        turn = ResponseTurn(Slot(0, profile.id), text, seed=0)
        failures = [AgentError(f"{profile.name} has no model with a key")]
        for candidate in self._without_paused(profile, self._model_factory(profile, turn)):
            if candidate.model is None:
                continue
            try:
                return await self._runs.run(
                    candidate.model,
                    output_type,
                    candidate.output,
                    turn,
                    prompt=text,
                    instructions=instructions,
                    history=(),
                )
            except Exception as error:  # noqa: BLE001 - the next model is asked
                failures.append(self._failure(error, profile, turn, candidate.name))
        raise failures[-1] from None

    def _without_paused(
        self, profile: AgentProfile, candidates: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        return [
            candidate
            for candidate in candidates
            if candidate is candidates[-1] or not self._pauses.is_paused(_key(profile, candidate))
        ]

    def _count(
        self, profile: AgentProfile, candidate: Candidate, failure: AgentError, *, is_last: bool
    ) -> None:
        """Count a failure, and tell the state of the agent if it is that of its first choice."""
        paused = "" if is_last else self._pauses.failed(_key(profile, candidate))
        if candidate.is_first_choice:
            self._states.failed(profile.id, "; ".join(filter(None, (failure.type, paused))))

    def _share_s(self, waiting: Sequence[Candidate], ends_at: float) -> float:
        """Return the time of the first of the `waiting` candidates."""
        if waiting[0].is_offline:
            return self._timeout_s
        left_s = ends_at - asyncio.get_running_loop().time()
        return max(0.0, left_s) / sum(not candidate.is_offline for candidate in waiting)

    async def _run(
        self,
        output_type: type[OutputT],
        candidate: Candidate,
        profile: AgentProfile,
        turn: AnyTurn,
        history: Sequence[Exchange],
        limit_s: float,
    ) -> OutputT:
        started = perf_counter()
        token = deadline.set(asyncio.get_running_loop().time() + limit_s)
        try:
            async with asyncio.timeout(limit_s):
                if candidate.model is None:
                    output = output_type.model_validate(play(profile, turn))
                else:
                    output = await self._runs.run(
                        candidate.model,
                        output_type,
                        candidate.output,
                        turn,
                        prompt=self._prompts.turn(turn),
                        instructions=self._prompts.system(profile, turn.slot),
                        history=history,
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
        return output

    @cached_property
    def _runs(self) -> "ModelRuns":
        from backend.agents.models.runs import ModelRuns

        return ModelRuns()

    def _failure(
        self, error: Exception, profile: AgentProfile, turn: AnyTurn, model: str
    ) -> AgentError:
        """Log `error` and return the slot's error.

        The errors of providers and validators hold what was said and parts of keys. Ours is raised
        after they were handled, so no traceback contains them.
        """
        failure = error if isinstance(error, AgentError) else _as_agent_error(error, profile)
        log.warning(
            "agent failed",
            **_where(profile, turn),
            model=model,
            type=failure.type,
            error=_cause(error),
            at=_origin(error),
        )
        return failure


def _as_agent_error(error: Exception, profile: AgentProfile) -> AgentError:
    from backend.agents.models.failures import as_agent_error  # imports pydantic-ai

    return as_agent_error(error, profile)


def _key(profile: AgentProfile, candidate: Candidate) -> str:
    return f"{profile.id}: {candidate.name}"


def _where(profile: AgentProfile, turn: AnyTurn) -> dict[str, object]:
    return {"agent_id": profile.id, "slot_id": turn.slot.slot_id, "kind": turn.kind}


def _cause(error: BaseException) -> str:
    """Return the class names of the causes, which hold nothing of what was said."""
    names = [type(error).__name__]
    while (cause := error.__cause__) is not None:
        names.append(type(cause).__name__)
        error = cause
    return " < ".join(names)


def _origin(error: BaseException) -> str:
    """Return the file and line that raised `error`."""
    frames = extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
