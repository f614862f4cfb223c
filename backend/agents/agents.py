"""The agents, with one method for each turn of a session."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from structlog.contextvars import bound_contextvars

from backend.agents.conversations import MAX_TOKENS, Conversations, Exchange
from backend.agents.models import Candidate, Client, ModelFactory
from backend.agents.outputs import CommentSelection, JudgedT, OutputT, SpokenResponse
from backend.agents.prompts import Prompts, remembered_prompt
from backend.agents.registry import Registry
from backend.agents.rehearsal import play
from backend.agents.states import AgentState, States
from backend.agents.turns import (
    AnyTurn,
    CommentTurn,
    ReplyTurn,
    ResponseTurn,
    Said,
    Slot,
    SummaryTurn,
)
from backend.errors import AgentError, SettingsError
from backend.services import named_surroundings

log = structlog.get_logger(__name__)

DEFAULT_TIMEOUT_S = 30.0
"""Time limit of one call, with its retries and fallbacks."""


class Agents:
    """All agents, and what each slot remembers; any number of sessions may ask at the same time.

    Without `model_factory` the rehearsal answers. `build` is called once, on a thread, before the
    first question; `on_close` is awaited by `aclose()`. A method that asks raises AgentError, and
    nothing else, when there is no usable answer.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        model_factory: ModelFactory | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        prompts: Prompts | None = None,
        states: States | None = None,
        rehearsing: Iterable[str] = (),
        memory_tokens: int = MAX_TOKENS,
        build: Callable[[], None] | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.registry = registry
        self.rehearsing = frozenset(rehearsing if model_factory else registry.ids)
        """The ids of the agents that no model answers for, so that they cost nothing."""
        self._states = states or States()
        self._client = Client(
            model_factory or (lambda *_: [Candidate()]),  # the rehearsal
            timeout_s=timeout_s,
            prompts=prompts or Prompts(),
            states=self._states,
        )
        self._conversations = Conversations(memory_tokens)
        self._build = build
        self._is_ready = build is None
        self._building = threading.Lock()
        self._on_close = on_close

    def warm_up(self) -> None:
        """Build the models and let the rehearsal answer once: seconds, so call it on a thread.

        When a model cannot be built, the next in the agent's chain answers.
        """
        for profile in self.registry:
            play(profile, ResponseTurn(Slot(1, profile.id), "", seed=0))
        with self._building:
            if self._build is None or self._is_ready:
                return
            try:
                with named_surroundings():
                    self._build()
                self._client.prepare()
            except SettingsError as error:
                log.error(
                    "the models could not be built; the fallbacks answer for them", error=str(error)
                )
            except Exception:
                log.exception("the models could not be built; the fallbacks answer for them")
            self._is_ready = True

    async def respond(self, slot: Slot, message: str, *, seed: int) -> SpokenResponse:
        """Return the slot's answer to the visitor (turn 1); `seed` is the session's."""
        return await self._ask(SpokenResponse, ResponseTurn(slot, message, seed))

    async def comment(
        self, slot: Slot, message: str, own: str, peers: Sequence[Said], *, seed: int
    ) -> CommentSelection:
        """Return the slot's comment on exactly one of `peers`, never on itself (turn 2)."""
        others = tuple(peer for peer in peers if peer.slot_id != slot.slot_id)
        if not others:
            raise AgentError(f"slot {slot.slot_id} has no peer to comment on: leave it out")
        return await self._ask(CommentSelection, CommentTurn(slot, message, seed, own, others))

    async def reply(
        self, slot: Slot, message: str, own: str, comments: Sequence[Said], *, seed: int
    ) -> SpokenResponse:
        """Return the slot's reply to the comments it received (turn 3)."""
        if not comments:
            raise AgentError(f"slot {slot.slot_id} got no comment to reply to: leave it out")
        turn = ReplyTurn(slot, message, seed, own, tuple(comments))
        return await self._ask(SpokenResponse, turn)

    async def judge(
        self, agent_id: str, instructions: str, text: str, output_type: type[JudgedT]
    ) -> JudgedT:
        """Return what a model of the agent says of a text, outside of a session.

        Nothing is remembered. The rehearsal is not asked: AgentError is raised instead.
        """
        if agent_id not in self.registry:
            known = ", ".join(self.registry.ids)
            raise AgentError(f"there is no agent {agent_id!r}: choose one of {known}")
        await self._build_models()
        profile = self.registry.get(agent_id)
        return await self._client.judge(profile, instructions, text, output_type)

    async def summarize(
        self, slot: Slot, message: str, said: Sequence[Said], *, seed: int
    ) -> SpokenResponse:
        """Return the summary of what was said (turn 4)."""
        if not said:
            raise AgentError("there is nothing to sum up: leave the summary out")
        return await self._ask(SpokenResponse, SummaryTurn(slot, message, seed, tuple(said)))

    def state(self, agent_id: str) -> AgentState:
        """Return the state of an agent."""
        return self._states.of(agent_id)

    def memory(self, slot: Slot) -> tuple[Exchange, ...]:
        """Return what a slot remembers, oldest first."""
        return self._conversations.of(slot).snapshot()

    def reset(self) -> list[int]:
        """Forget all conversations; return the slots that had one."""
        return self._conversations.reset()

    async def aclose(self) -> None:
        """Close what the model factory opened."""
        if self._on_close is not None:
            await self._on_close()

    async def _ask(self, output_type: type[OutputT], turn: AnyTurn) -> OutputT:
        """Return the output of the slot's agent, once the models are built."""
        profile = self.registry.get(turn.slot.agent_id)
        await self._build_models()
        conversation = self._conversations.of(turn.slot)
        with bound_contextvars(turn_index=turn.turn_index):
            output = await self._client.ask(output_type, profile, turn, conversation.snapshot())
        conversation.add(Exchange(remembered_prompt(turn), output.text))
        return output

    async def _build_models(self) -> None:
        if not self._is_ready:
            await asyncio.to_thread(self.warm_up)
