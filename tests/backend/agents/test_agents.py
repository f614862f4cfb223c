import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from structlog.testing import capture_logs

from backend.agents import AgentProfile, Agents, Registry, Said, Slot, create_agents
from backend.agents.models import Candidate
from backend.agents.turns import AnyTurn
from backend.errors import AgentError
from tests.backend.agents.models.test_providers import PROVIDERS, entry, settings_for
from tests.backend.agents.stub import Stub
from tests.patience import LIMIT_S

ROOT = Path(__file__).parents[3]
SLOT = Slot(1, "gpt-4o")
REHEARSAL = '[[agents]]\nid = "a"\nmodel = "rehearsal"\n'


class Gate:
    """A model that waits for a gate before it answers, and notes how much history it got."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.history_lengths: list[int] = []

    def __call__(self, _profile: AgentProfile, turn: AnyTurn) -> list[Candidate]:
        """Return the model of one call; it answers with the visitor's message."""

        async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            self.history_lengths.append(len(messages) - 1)
            self.asked.set()
            await self.open.wait()
            output = {"text": turn.message, "voice_profile": "calm_soothing"}
            return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, output)])

        return [Candidate(FunctionModel(answer), "test")]


def loaded_by_the_first_answer(provider: str, root: Path) -> list[str]:
    """Return the modules that the first answer after a warm-up imports; for a fresh process."""
    with Stub() as stub:
        toml = entry("a", provider, stub) if provider in PROVIDERS else REHEARSAL
        agents = create_agents(settings_for(root, toml))
        agents.warm_up()
        before = set(sys.modules)
        asyncio.run(agents.respond(Slot(1, "a"), "Rain", seed=1))
        return sorted(sys.modules.keys() - before)


@pytest.mark.e2e
@pytest.mark.parametrize("provider", ["rehearsal", *PROVIDERS])
def test_the_first_visitor_waits_for_no_import(provider: str, tmp_path: Path) -> None:
    """After a warm-up an answer loads nothing that would hold up the event loop."""
    ask = (
        f"from pathlib import Path; from {__name__} import loaded_by_the_first_answer as ask; "
        f"print(ask({provider!r}, Path({str(tmp_path)!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "[]" == done.stdout.splitlines()[-1]  # after the log


async def test_models_that_cannot_be_built_are_answered_for(tmp_path: Path) -> None:
    """A provider's library that fails to load is logged, and the rehearsal speaks."""
    settings = settings_for(tmp_path, '[[agents]]\nid = "a"\nmodel = "openai:m"\n')

    with capture_logs() as logs, pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "openai", None)  # its import raises ImportError
        said = await create_agents(settings).respond(Slot(1, "a"), "Rain", seed=1)

    assert said.text
    assert ["rehearsal"] == [log["model"] for log in logs if log["event"] == "agent answered"]
    assert "the models could not be built; the fallbacks answer for them" in [
        log["event"] for log in logs
    ]


async def test_sessions_at_the_same_time_do_not_mix() -> None:
    """Many sessions on one slot each get their own answer, and each leaves one whole exchange."""
    gate = Gate()
    agents = Agents(Registry(), model_factory=gate)
    tasks = [
        asyncio.create_task(agents.respond(SLOT, f"sentence {number}", seed=number))
        for number in range(6)
    ]
    await asyncio.wait_for(gate.asked.wait(), LIMIT_S)
    gate.open.set()

    spoken = await asyncio.gather(*tasks)
    await agents.respond(SLOT, "afterwards", seed=1)

    assert [answer.text for answer in spoken] == [f"sentence {number}" for number in range(6)]
    assert gate.history_lengths[-1] == 2 * len(tasks)


async def test_a_failed_call_leaves_no_memory() -> None:
    """Only a whole exchange is remembered."""
    agents = Agents(Registry(), model_factory=Gate(), timeout_s=0.05)

    with pytest.raises(AgentError):
        await asyncio.wait_for(agents.respond(SLOT, "Hello", seed=1), LIMIT_S)

    assert agents.reset() == []


async def test_reset_clears_and_names() -> None:
    """Reset returns the slots that forgot something."""
    agents = Agents(Registry())
    await agents.respond(SLOT, "Hello", seed=1)
    await agents.respond(Slot(2, "gemini-3"), "Hello", seed=1)

    assert agents.reset() == [1, 2]
    assert agents.reset() == []


async def test_memory_has_the_bound_it_is_given() -> None:
    """With no tokens to spare a slot remembers nothing."""
    agents = Agents(Registry(), memory_tokens=0)

    await agents.respond(SLOT, "Hello", seed=1)

    assert agents.reset() == []


async def test_a_call_under_way_does_not_undo_a_reset() -> None:
    """An answer that comes after the reset is given but not remembered."""
    gate = Gate()
    agents = Agents(Registry(), model_factory=gate)
    task = asyncio.create_task(agents.respond(SLOT, "Hello", seed=1))
    await asyncio.wait_for(gate.asked.wait(), LIMIT_S)

    agents.reset()
    gate.open.set()

    assert (await task).text == "Hello"
    assert agents.reset() == []


async def test_an_unknown_agent_is_an_agent_error() -> None:
    """A slot that names nobody fails with the known ids."""
    with pytest.raises(AgentError, match="the known ids are"):
        await Agents(Registry()).respond(Slot(1, "hal"), "Hello", seed=1)


async def test_nothing_to_speak_to_is_an_agent_error() -> None:
    """A comment without peers and a reply without comments are refused with the slot."""
    agents = Agents(Registry())

    with pytest.raises(AgentError, match="slot 1 has no peer"):
        await agents.comment(SLOT, "Hello", "Mine.", [Said(1, "response", "Mine.")], seed=1)
    with pytest.raises(AgentError, match="slot 1 got no comment"):
        await agents.reply(SLOT, "Hello", "Mine.", [], seed=1)


async def test_closing_closes_what_the_factory_opened() -> None:
    """`aclose` awaits the function it was given, and needs none."""
    closed = asyncio.Event()

    async def close() -> None:
        closed.set()

    await Agents(Registry(), on_close=close).aclose()
    await Agents(Registry()).aclose()

    assert closed.is_set()


@pytest.mark.e2e
def test_a_rehearsal_imports_no_library_of_models() -> None:
    """Agents without models answer without pydantic-ai, its HTTP client or a provider's library."""
    program = """
import asyncio, sys
from backend.agents import Agents, Registry, Slot
asyncio.run(Agents(Registry()).respond(Slot(1, "gpt-4o"), "Rain", seed=1))
heavy = {"pydantic_ai", "httpx2", "openai", "anthropic", "google.genai", "opentelemetry"}
print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"
