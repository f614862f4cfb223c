import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

import pytest
from pydantic_ai import UnexpectedModelBehavior
from pydantic_ai.exceptions import (
    ModelConnectionError,
    ModelHTTPError,
    ModelRateLimitError,
    ModelServerError,
    ModelTimeoutError,
    UserError,
)
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from structlog.testing import capture_logs

from backend.agents import AgentProfile, Agents, Registry, Said, Slot
from backend.agents.models import Candidate
from backend.agents.turns import AnyTurn
from backend.errors import AgentError, SlotErrorType
from tests.patience import LIMIT_S, SOON_S

Answer = Callable[[list[ModelMessage], AgentInfo], Awaitable[ModelResponse]]

SECRET = "sk-live-0123456789"
WORDS = "my grandmother's secret garden"
SLOT = Slot(1, "gpt-4o")
PEERS = [Said(2, "response", "The rim shook."), Said(3, "response", "And yet.")]
GOOD = {"text": "Yes, softly.", "voice_profile": "calm_soothing"}
GOOD_COMMENT = {"target_slot_id": 3, "comment": "And yet what?", "voice_profile": "calm_soothing"}


def agents_with(answer: Answer, timeout_s: float = LIMIT_S) -> Agents:
    """Return agents whose one model is `answer`."""

    def factory(_profile: AgentProfile, _turn: AnyTurn) -> list[Candidate]:
        return [Candidate(FunctionModel(answer), "test")]

    return Agents(Registry(), model_factory=factory, timeout_s=timeout_s)


def says(*outputs: Mapping[str, object]) -> tuple[Answer, list[list[ModelMessage]]]:
    """Return a model that gives `outputs` one after the other, and the requests it gets."""
    requests: list[list[ModelMessage]] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        requests.append(list(messages))
        output = outputs[min(len(requests), len(outputs)) - 1]
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, dict(output))])

    return answer, requests


def raises(error: Exception) -> Answer:
    """Return a model that raises `error`."""

    async def answer(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelHTTPError(429, "m", {"error": SECRET}), "rate_limit"),
        (ModelRateLimitError("m", SECRET), "rate_limit"),
        (ModelHTTPError(500, "m", {"error": SECRET}), "server_error"),
        (ModelHTTPError(503, "m"), "server_error"),
        (ModelServerError("m", SECRET), "server_error"),
        (ModelHTTPError(401, "m", {"error": f"bad key {SECRET}"}), "unknown"),
        (ModelHTTPError(400, "m", {"error": WORDS}), "unknown"),
        (ModelHTTPError(408, "m"), "timeout"),
        (ModelTimeoutError("m", "read timed out"), "timeout"),
        (TimeoutError(), "timeout"),
        (ModelConnectionError("m", f"cannot connect with {SECRET}"), "network"),
        (ConnectionResetError(WORDS), "network"),
        (UnexpectedModelBehavior(WORDS, body=SECRET), "unknown"),
        (UserError(SECRET), "unknown"),
        (ZeroDivisionError(WORDS), "unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
async def test_every_failure_has_its_type_and_tells_no_secret(
    error: Exception, expected: SlotErrorType
) -> None:
    """A failure becomes an AgentError of the right type; neither it nor the log holds words."""
    agents = agents_with(raises(error))

    with capture_logs() as logs, pytest.raises(AgentError) as caught:
        await agents.respond(SLOT, WORDS, seed=1)

    assert expected == caught.value.type
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert [entry["type"] for entry in logs if entry["event"] == "agent failed"] == [expected]
    told = f"{caught.value} {logs}"
    assert SECRET not in told
    assert WORDS not in told
    assert type(error).__name__ in told


async def test_a_status_is_told() -> None:
    """The message names the agent and the HTTP status."""
    agents = agents_with(raises(ModelHTTPError(503, "m")))

    with pytest.raises(AgentError, match=r"^GPT-4o .*\(HTTP 503\)$"):
        await agents.respond(SLOT, WORDS, seed=1)


async def test_a_model_that_hangs_is_a_timeout() -> None:
    """A call ends at its deadline, and the hanging model is cancelled."""
    cancelled = asyncio.Event()

    async def hang(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    with pytest.raises(AgentError) as caught:
        await asyncio.wait_for(
            agents_with(hang, timeout_s=0.2).respond(SLOT, WORDS, seed=1), SOON_S
        )

    assert caught.value.type == "timeout"
    assert cancelled.is_set()


async def test_a_cancelled_session_is_not_a_failure() -> None:
    """Cancelling the caller cancels the call; it is not turned into an AgentError."""
    asked = asyncio.Event()

    async def hang(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(agents_with(hang).respond(SLOT, WORDS, seed=1))
    await asyncio.wait_for(asked.wait(), LIMIT_S)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_factory_that_fails_is_the_slots_failure() -> None:
    """A model that cannot be made, for want of a key, is an AgentError of this slot only."""

    def factory(_profile: AgentProfile, _turn: AnyTurn) -> list[Candidate]:
        raise UserError(SECRET)

    with pytest.raises(AgentError) as caught:
        await Agents(Registry(), model_factory=factory).respond(SLOT, WORDS, seed=1)

    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


async def test_an_invalid_output_is_asked_for_again_once() -> None:
    """A model that corrects itself on the second try answers."""
    answer, requests = says({"text": "...", "voice_profile": "calm_soothing"}, GOOD)

    spoken = await agents_with(answer).respond(SLOT, WORDS, seed=1)

    assert spoken.text == "Yes, softly."
    assert len(requests) == 2


async def test_an_output_that_stays_invalid_is_unknown() -> None:
    """A model is asked twice in all, then the slot fails."""
    answer, requests = says({"voice_profile": "calm_soothing"})

    with pytest.raises(AgentError, match="gave no usable answer") as caught:
        await agents_with(answer).respond(SLOT, WORDS, seed=1)

    assert caught.value.type == "unknown"
    assert len(requests) == 2


@pytest.mark.parametrize("target", [1, 4, 0, -3])
async def test_a_target_that_is_no_peer_is_asked_for_again(target: int) -> None:
    """A comment on oneself or on nobody is refused; the model is told whom it may choose."""
    answer, requests = says({**GOOD_COMMENT, "target_slot_id": target}, GOOD_COMMENT)

    selection = await agents_with(answer).comment(SLOT, WORDS, "Mine.", PEERS, seed=1)

    assert selection.target_slot_id == 3
    assert "choose 2 or 3" in str(requests[1][-1])


async def test_a_target_that_stays_wrong_is_unknown() -> None:
    """A model that insists on itself loses its comment."""
    answer, requests = says({**GOOD_COMMENT, "target_slot_id": 1})

    with pytest.raises(AgentError) as caught:
        await agents_with(answer).comment(SLOT, WORDS, "Mine.", PEERS, seed=1)

    assert caught.value.type == "unknown"
    assert len(requests) == 2


async def test_oneself_is_never_a_peer() -> None:
    """Peers that hold the slot itself do not make it a target."""
    answer, requests = says({**GOOD_COMMENT, "target_slot_id": 1}, GOOD_COMMENT)

    selection = await agents_with(answer).comment(
        SLOT, WORDS, "Mine.", [Said(1, "response", "Mine."), *PEERS], seed=1
    )

    assert selection.target_slot_id == 3
    assert len(requests) == 2


async def test_an_unknown_voice_profile_is_no_failure() -> None:
    """A profile nobody knows passes on the first try: the speech engine falls back."""
    answer, requests = says({**GOOD, "voice_profile": "Deep Baritone"})

    spoken = await agents_with(answer).respond(SLOT, WORDS, seed=1)

    assert spoken.voice_profile == "deep_baritone"
    assert len(requests) == 1


async def test_the_model_is_chosen_per_call() -> None:
    """The factory is asked with the slot's profile and the turn, once per call."""
    calls: list[tuple[str, str]] = []
    answer, _ = says(GOOD)

    def factory(profile: AgentProfile, turn: AnyTurn) -> list[Candidate]:
        calls.append((profile.model, turn.kind))
        return [Candidate(FunctionModel(answer), "test")]

    agents = Agents(Registry(), model_factory=factory)
    await agents.respond(SLOT, WORDS, seed=1)
    await agents.reply(Slot(2, "gemini-3"), WORDS, "Mine.", [Said(1, "response", "Oh?")], seed=1)

    assert calls == [("openai:gpt-4o", "response"), ("google:gemini-3-pro-preview", "reply")]


async def test_the_model_gets_instructions_and_what_was_remembered() -> None:
    """A request holds the persona, the slot's earlier exchanges as plain text, and the turn."""
    seen: list[str | None] = []
    requests: list[list[ModelMessage]] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(info.instructions)
        requests.append(list(messages))
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, GOOD)])

    agents = agents_with(answer)
    await agents.respond(SLOT, "First sentence", seed=1)
    await agents.respond(SLOT, "Second sentence", seed=1)

    persona = Registry().get("gpt-4o").persona
    assert all(instructions is not None and persona in instructions for instructions in seen)
    assert len(requests[0]) == 1
    asked, answered, asked_now = requests[1]
    assert isinstance(asked, ModelRequest)
    assert isinstance(asked.parts[0], UserPromptPart)
    assert "First sentence" in str(asked.parts[0].content)
    assert answered.parts[0] == TextPart("Yes, softly.")
    assert "Second sentence" in json.dumps(str(asked_now))
