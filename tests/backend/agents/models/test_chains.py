"""Who answers when: fallbacks in their order, the time they share, and keys that are missing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.agents import Agents, AgentState, Slot, create_agents
from backend.config import Settings
from backend.errors import AgentError
from backend.http.app import create_app
from backend.runtime import Hosting
from backend.services import RetryPolicy
from backend.sessions import SlotAudio, SlotDone, SlotError
from tests.backend.agents.models.test_providers import entry, session, settings_for
from tests.backend.agents.stub import KEY, Stub
from tests.live import LiveServer, events

SLOT = Slot(1, "a")
NO_KEYS: dict[str, Any] = {
    "OPENAI_API_KEY": None,
    "ANTHROPIC_API_KEY": None,
    "GOOGLE_API_KEY": None,
}
QUICK = RetryPolicy(pause_s=0.01)


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Return a server of the test's own."""
    with Stub() as server:
        yield server


async def answer(agents: Agents, slot: Slot = SLOT) -> str:
    """Return what a slot says, and close the agents."""
    try:
        return (await agents.respond(slot, "Rain", seed=1)).text
    finally:
        await agents.aclose()


async def test_fallbacks_are_asked_in_their_order(stub: Stub, tmp_path: Path) -> None:
    """The first that answers speaks; those before it have failed, those after are not asked."""
    stub.modes |= {"m": "500 always", "second": "401"}
    toml = entry("a", "openai", stub, '["openai:second", "openai:third", "openai:fourth"]')
    agents = create_agents(settings_for(tmp_path, toml), retry_policy=QUICK)

    with capture_logs() as logs:
        said = await answer(agents)

    assert "third speaks." == said
    assert {"m": 3, "second": 1, "third": 1} == stub.counts
    assert ["openai:m", "openai:second"] == [
        log["model"] for log in logs if log["event"] == "agent failed"
    ]
    state = agents.state("a")
    assert ("failing", "server_error", "openai:third") == (
        state.state,
        state.reason,
        state.answered_by,
    )


async def test_a_model_that_keeps_failing_is_paused(stub: Stub, tmp_path: Path) -> None:
    """After three failures in a row it is left out, and the state of its agent says until when."""
    stub.modes["m"] = "401"
    toml = entry("a", "openai", stub, '["openai:second"]') + entry("b", "openai", stub)
    agents = create_agents(settings_for(tmp_path, toml))

    for _ in range(2):
        await agents.respond(SLOT, "Rain", seed=1)
    before = agents.state("a")
    for _ in range(3):
        await agents.respond(SLOT, "Rain", seed=1)
    after = agents.state("a")
    with pytest.raises(AgentError):  # the model of one agent is not that of another
        await answer(agents, Slot(2, "b"))

    assert {"m": 3 + 1, "second": 5} == stub.counts
    assert ("failing", "unknown") == (before.state, before.reason)
    assert ("failing", "openai:second") == (after.state, after.answered_by)
    assert re.fullmatch(
        r"unknown; paused after 3 failures in a row, until \d\d:\d\d:\d\d UTC", after.reason or ""
    )


async def test_the_last_model_is_never_paused(stub: Stub, tmp_path: Path) -> None:
    """An agent whose models all fail asks its last one every time."""
    stub.modes |= {"m": "401", "second": "401"}
    toml = entry("a", "openai", stub, '["openai:second"]')
    agents = create_agents(settings_for(tmp_path, toml))

    for _ in range(5):
        with pytest.raises(AgentError):
            await agents.respond(SLOT, "Rain", seed=1)
    await agents.aclose()

    assert {"m": 3, "second": 5} == stub.counts


async def test_the_failure_told_is_that_of_the_first(stub: Stub, tmp_path: Path) -> None:
    """When all fail, the slot's error is of the model that was meant to answer."""
    stub.modes |= {"m": "429 always", "second": "401"}
    settings = settings_for(tmp_path, entry("a", "openai", stub, '["openai:second"]'), 5)

    with pytest.raises(AgentError) as caught:
        await answer(create_agents(settings, retry_policy=QUICK))

    assert "rate_limit" == caught.value.type
    assert caught.value.__context__ is None


@pytest.mark.e2e
async def test_a_hanging_model_leaves_time_for_the_next(stub: Stub, tmp_path: Path) -> None:
    """The time of a call is shared by the models still to be asked; the rehearsal needs none."""
    stub.modes |= {"m": "slow", "second": "slow"}
    toml = entry("a", "openai", stub, '["openai:second", "openai:third", "rehearsal"]')

    said = await answer(create_agents(settings_for(tmp_path, toml, 3)))

    assert "third speaks." == said


async def test_a_whole_call_keeps_its_limit(stub: Stub, tmp_path: Path) -> None:
    """Retries whose pause would end after the deadline are not waited for."""
    stub.modes["m"] = "429 always"
    pauses: list[float] = []

    async def note(pause_s: float) -> None:
        pauses.append(pause_s)

    settings = settings_for(tmp_path, entry("a", "openai", stub), 5)

    with pytest.raises(AgentError) as caught:
        await answer(create_agents(settings, retry_policy=RetryPolicy(sleep=note)))

    assert "rate_limit" == caught.value.type  # seven seconds were asked for, five are allowed
    assert [] == pauses
    assert {"m": 1} == stub.counts


async def test_without_a_key_the_rehearsal_answers(stub: Stub, tmp_path: Path) -> None:
    """An agent whose provider has no key falls to its rehearsal; no request is made."""
    toml = entry("a", "openai", stub, '["rehearsal"]')
    agents = create_agents(settings_for(tmp_path, toml, **NO_KEYS))

    said = await answer(agents)

    assert said
    assert AgentState("no key", answered_by="rehearsal") == agents.state("a")
    assert [] == stub.calls


@pytest.mark.parametrize(("keys", "rehearsing"), [({"GOOGLE_API_KEY": None}, ""), (NO_KEYS, "a")])
def test_only_agents_without_any_model_rehearse(
    keys: dict[str, Any], rehearsing: str, stub: Stub, tmp_path: Path
) -> None:
    """An agent without its key costs nothing only if no fallback has one, either."""
    toml = entry("a", "google", stub, '["openai:other", "rehearsal"]')

    agents = create_agents(settings_for(tmp_path, toml, **keys))

    assert frozenset(rehearsing) == agents.rehearsing


async def test_without_a_key_and_without_a_fallback_the_slot_is_silent(
    stub: Stub, tmp_path: Path
) -> None:
    """With nobody left the error names the variable to set."""
    agents = create_agents(settings_for(tmp_path, entry("a", "google", stub), **NO_KEYS))

    with pytest.raises(AgentError, match="a has no key: set GOOGLE_API_KEY"):
        await answer(agents)

    assert "no key" == agents.state("a").state


async def test_a_key_goes_where_the_file_says_and_nowhere_else(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compatible server gets the key that is named for it, from the environment or `.env`.

    Without one it gets none, least of all OpenAI's.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HERON_KEY", "sk-heron")
    (tmp_path / ".env").write_text("TERN_KEY=sk-tern\n", encoding="utf-8")
    toml = entry("a", "ollama", stub)
    toml += entry("b", "ollama", stub) + 'key = "HERON_KEY"\n'
    toml += entry("c", "ollama", stub) + 'key = "TERN_KEY"\n'
    agents = create_agents(settings_for(tmp_path, toml))

    for slot_id, agent_id in enumerate("abc", start=1):
        await agents.respond(Slot(slot_id, agent_id), "Rain", seed=1)
    await agents.aclose()

    sent = [call.headers["authorization"] for call in stub.calls]
    assert ["Bearer none", "Bearer sk-heron", "Bearer sk-tern"] == sent


async def test_temperature_and_tokens_reach_the_provider(stub: Stub, tmp_path: Path) -> None:
    """What the file says about an agent stands in its requests, in each provider's own words."""
    more = "temperature = 0.3\nmax_tokens = 77\n"
    toml = "".join(
        entry(provider, provider, stub) + more
        for provider in ("openai", "anthropic", "google", "ollama")
    )
    agents = create_agents(settings_for(tmp_path, toml))

    for slot_id, agent_id in enumerate(("openai", "anthropic", "google", "ollama"), start=1):
        await agents.respond(Slot(slot_id, agent_id), "Rain", seed=1)
    await agents.aclose()

    openai, anthropic, google, ollama = (call.body for call in stub.calls)
    assert (0.3, 77) == (openai["temperature"], openai["max_completion_tokens"])
    assert (0.3, 77) == (anthropic["temperature"], anthropic["max_tokens"])
    config = google["generationConfig"]
    assert (0.3, 77) == (config["temperature"], config["maxOutputTokens"])
    assert (0.3, 77) == (ollama["temperature"], ollama["max_tokens"])


@pytest.mark.parametrize("output", ["tool", "native", "prompted"])
@pytest.mark.parametrize("provider", ["openai", "google", "ollama"])
async def test_every_output_mode_answers(
    output: str, provider: str, stub: Stub, tmp_path: Path
) -> None:
    """Fields come back as a tool call, by the provider's schema, or as JSON in the text."""
    toml = (
        entry("a", provider, stub).replace('output = "tool"', "").replace('output = "prompted"', "")
    )
    agents = create_agents(settings_for(tmp_path, f'{toml}output = "{output}"\n'))

    said = await answer(agents)

    assert said.endswith("m speaks.")
    body = stub.calls[0].body
    config = body.get("generationConfig", {})
    schema = body.get("response_format", {}).get("type") == "json_schema"
    schema = schema or "responseJsonSchema" in config or "responseSchema" in config
    assert (output == "tool", output == "native") == ("tools" in body, schema)


async def test_the_http_clients_are_closed(stub: Stub, tmp_path: Path) -> None:
    """After `aclose` no connection is left and no further request is possible."""
    toml = entry("a", "openai", stub) + entry("b", "google", stub)
    agents = create_agents(settings_for(tmp_path, toml))
    await agents.respond(SLOT, "Rain", seed=1)
    await agents.aclose()

    for agent_id in "ab":
        with pytest.raises(AgentError):
            await agents.respond(Slot(1, agent_id), "Rain", seed=1)

    assert 1 == len(stub.calls)


SIX = ("openai", "anthropic", "google", "ollama", "openai", "anthropic")


def six(stub: Stub) -> str:
    """Return six agents, each with a model of its own name, on four stubbed providers."""
    tables = []
    for number, provider in enumerate(SIX, start=1):
        table = entry(f"agent-{number}", provider, stub, '["rehearsal"]')
        name = f"gemini-m{number}" if provider == "google" else f"m{number}"
        tables.append(table.replace(':gemini-m"', f':{name}"').replace(':m"', f':{name}"'))
    return "".join(tables)


async def test_a_provider_dies_in_turn_2_and_the_session_goes_on(
    stub: Stub, tmp_path: Path
) -> None:
    """Six slots on real clients: one provider dies after turn 1, and every slot still speaks."""
    agents = create_agents(settings_for(tmp_path, six(stub)), retry_policy=QUICK)
    slots = [Slot(number, f"agent-{number}") for number in range(1, 7)]
    dying = {"m2", "m6"}
    before = stub.modes.copy()

    class Dying(dict[str, object]):
        """Modes that turn bad for one provider once all six have responded."""

        def get(self, name: str, default: object = None) -> object:
            return "500 always" if name in dying and len(stub.calls) > 6 else default

    stub.modes = Dying(before)  # type: ignore[assignment]  # the handler only asks `get`
    told, logs = await session(agents, tmp_path, *slots)
    states = {slot.slot_id: agents.state(slot.agent_id) for slot in slots}
    await agents.aclose()

    assert [] == [event for event in told if isinstance(event, SlotError)]
    done = [event for event in told if isinstance(event, SlotDone)]
    audio = [event for event in told if isinstance(event, SlotAudio)]
    assert {(1, n) for n in range(1, 7)} == {(e.turn_index, e.slot_id) for e in done[:6]}
    assert {(2, n) for n in range(1, 7)} == {(e.turn_index, e.slot_id) for e in done[6:12]}
    assert len(done) == len(audio)
    assert all((tmp_path / event.audio_path).is_file() for event in audio)
    targets = {event.target_slot_id for event in done if event.turn_index == 2}
    assert targets == {event.slot_id for event in done if event.turn_index == 3}
    for event in done[:6]:
        assert event.text.endswith(f"m{event.slot_id} speaks.")
    by_rehearsal = {
        (log["kind"], log["slot_id"])
        for log in logs
        if log["event"] == "agent answered" and log["model"] == "rehearsal"
    }
    assert {("comment", 2), ("comment", 6)} == {key for key in by_rehearsal if key[0] == "comment"}
    assert {2, 6} == {slot_id for slot_id, state in states.items() if state.state == "failing"}


@pytest.mark.e2e
async def test_the_host_runs_on_real_clients_and_real_speech(stub: Stub, tmp_path: Path) -> None:
    """A host built from settings alone asks the providers and speaks what they said."""
    hosting = Hosting(settings_for(tmp_path, six(stub)), [])

    async with hosting.running():
        stream = hosting.runner.start("Rain", [Slot(n, f"agent-{n}") for n in (1, 2, 3, 4)])
        told = [event async for _, event in stream.read()]

    assert [] == [event for event in told if isinstance(event, SlotError)]
    audio = [event for event in told if isinstance(event, SlotAudio)]
    assert all((tmp_path / "artifacts" / e.audio_path).stat().st_size > 5000 for e in audio)


def test_the_list_of_agents_shows_who_fails_and_who_is_ready(stub: Stub, tmp_path: Path) -> None:
    """/v1/agents names the state of each agent, since when it fails, and who answered last."""
    stub.modes["m1"] = "401"
    toml = six(stub)
    app = create_app(settings_for(tmp_path, toml, GOOGLE_API_KEY=None), [])
    body = {
        "message": "Rain",
        "slots": [{"slotId": n, "agentId": f"agent-{n}"} for n in (1, 2, 3)],
    }

    with LiveServer(app) as live, live.client() as client:
        with client.stream("POST", "/v1/chat", json=body) as response:
            told = list(events(response.iter_lines()))
        listed = {agent["id"]: agent for agent in client.get("/v1/agents").json()["agents"]}

    assert "done" == told[-1][0]
    assert "slot.error" not in [name for name, _ in told]
    shown = {
        agent_id: (agent["state"], agent["reason"] and agent["reason"][:7], agent["answeredBy"])
        for agent_id, agent in listed.items()
    }
    assert {
        "agent-1": ("failing", "unknown", "rehearsal"),
        "agent-2": ("ready", None, "anthropic:m2"),
        "agent-3": ("no key", None, "rehearsal"),
        "agent-4": ("ready", None, None),
        "agent-5": ("ready", None, None),
        "agent-6": ("ready", None, None),
    } == shown
    assert listed["agent-1"]["failingSince"]
    assert listed["agent-2"]["failingSince"] is None


def test_settings_without_a_file_have_the_rehearsal_for_everyone(tmp_path: Path) -> None:
    """The built-in agents without any key are all in the state that says so."""
    agents = create_agents(Settings(artifacts_dir=tmp_path))

    assert {"no key"} == {agents.state(agent_id).state for agent_id in agents.registry.ids}
