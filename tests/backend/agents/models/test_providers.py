"""Real clients against real HTTP: what a session tells of every way a provider can fail."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from structlog.typing import EventDict

from backend.agents import Agents, Registry, Slot, create_agents
from backend.agents.choices import ModelChoice
from backend.agents.models import Providers
from backend.config import Settings
from backend.errors import AgentError, SlotErrorType
from backend.logs.setup import NOISY
from backend.services import RetryPolicy
from backend.sessions import Event, SlotDone, SlotError
from backend.speech import Spoken
from backend.speech.sound.wav import write_wav
from backend.storage import Artifacts
from backend.workflow import Workflow
from tests.backend.agents.stub import KEY, RETRY_AFTER_S, Mode, Stub

PROVIDERS = {
    "openai": ("openai:m", "/openai/v1", "tool"),
    "anthropic": ("anthropic:m", "/anthropic", "tool"),
    "google": ("google:gemini-m", "/google", "tool"),
    "ollama": ("openai-chat:m", "/ollama/v1", "prompted"),
}
WORDS = "my grandmother's secret garden"
TIMEOUT_S = 5.0
"""At which a library would warn of a default, if every limit of a request were the same."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one mode: an error's type, or None for an answer; and its requests."""

    error: SlotErrorType | None
    requests: int
    pauses: int = 0


OUTCOMES: dict[Mode, Outcome] = {
    "good": Outcome(None, 1),
    "slow": Outcome("timeout", 1),
    "401": Outcome("unknown", 1),
    "429 once": Outcome(None, 2, 1),
    "429 always": Outcome("rate_limit", 3, 2),
    "500 once": Outcome(None, 2, 1),
    "500 always": Outcome("server_error", 3, 2),
    "500 final": Outcome("server_error", 1),
    "invalid JSON": Outcome("unknown", 1),
    "invalid output then good": Outcome(None, 2),
    "always invalid": Outcome("unknown", 2),
    "reset half-way once": Outcome(None, 2, 1),
    "reset half-way": Outcome("network", 3, 2),
    "HTML with 200": Outcome("unknown", 1),
    "empty body": Outcome("unknown", 1),
    "redirect": Outcome("unknown", 1),
}


# Google's library makes an answer without words of it, and that is asked for again.
PECULIAR = {("empty body", "google"): Outcome("unknown", 2)}
NO_BUILT_IN = "".join(
    f'[[agents]]\nid = "{agent_id}"\nenabled = false\n' for agent_id in Registry().ids
)


class Silence:
    """An engine that writes a real WAV without a voice in it."""

    name = "silence"

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Write a tenth of a second."""
        return write_wav(path, bytes(1600), 8000, self._temporary)

    def check(self) -> str:
        return "silent"

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    """Return the server of the module; a test sets its modes and forgets earlier calls."""
    with Stub() as server:
        yield server


@pytest.fixture(autouse=True)
def _forget(stub: Stub) -> None:
    stub.modes.clear()
    stub.calls.clear()


def settings_for(path: Path, toml: str, timeout_s: float = 10, **more: object) -> Settings:
    """Return settings with all keys and an `agents.toml` of the text `toml`."""
    file = path / "agents.toml"
    file.write_text(NO_BUILT_IN + toml, encoding="utf-8")
    given = {
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_API_KEY": KEY,
        "GOOGLE_API_KEY": KEY,
        "agents_file": file,
        "agent_timeout_s": timeout_s,
        "artifacts_dir": path / "artifacts",
        "seed": 1,
        **more,
    }
    return Settings(**given)  # type: ignore[arg-type]  # checked by pydantic


def entry(agent_id: str, provider: str, stub: Stub, fallback: str = "[]") -> str:
    """Return an agent's table, its model behind the stub."""
    model, path, output = PROVIDERS[provider]
    return (
        f'[[agents]]\nid = "{agent_id}"\nmodel = "{model}"\nbase_url = "{stub.url(path)}"\n'
        f'output = "{output}"\nfallback = {fallback}\n'
    )


def model_of(provider: str) -> str:
    """Return the model's name as it goes over the wire."""
    return PROVIDERS[provider][0].partition(":")[2]


async def session(
    agents: Agents, root: Path, *slots: Slot, message: str = WORDS
) -> tuple[list[Event], list[EventDict]]:
    """Run one whole session; return its events and what was logged."""
    events: list[Event] = []
    artifacts = Artifacts(root)
    with ThreadPoolExecutor(2) as threads, capture_logs() as logs:
        workflow = Workflow(agents, Silence(artifacts.temporary), artifacts, threads, seed=1)
        await workflow.run("20261122T000000Z-00000000", message, slots, events.append)
    return events, logs


def names(events: list[Event]) -> list[str]:
    """Return the events of turn 1 by name."""
    start = next(n for n, event in enumerate(events) if event.name == "turn.start")
    end = next(n for n, event in enumerate(events) if event.name == "turn.done")
    return [event.name for event in events[start + 1 : end]]


MODES = [
    pytest.param(mode, marks=pytest.mark.e2e) if mode == "slow" else mode for mode in get_args(Mode)
]
"""A slow answer is waited for until the time limit: seconds each."""


class Pauses(list[float]):
    """The pauses before retries, none of which is waited for."""

    async def note(self, pause_s: float) -> None:
        """Take the place of sleeping."""
        self.append(pause_s)


def agents_for(settings: Settings, pauses: Pauses) -> Agents:
    """Return agents that note their pauses."""
    return create_agents(settings, retry_policy=RetryPolicy(sleep=pauses.note))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", MODES)
async def test_every_mode_has_its_events(
    mode: Mode,
    provider: str,
    stub: Stub,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A slot answers or ends in the right error, after the right number of requests.

    Neither events nor logs, those of the libraries included, hold the key or the visitor's words.
    """
    for name in NOISY:
        caplog.set_level(logging.WARNING, name)
    caplog.set_level(logging.DEBUG)  # last, for it sets what is caught as well
    outcome = PECULIAR.get((mode, provider), OUTCOMES[mode])
    stub.modes[model_of(provider)] = mode
    pauses = Pauses()
    timeout_s = TIMEOUT_S if mode == "slow" else 10
    agents = agents_for(settings_for(tmp_path, entry("a", provider, stub), timeout_s), pauses)

    events, logs = await session(agents, tmp_path, Slot(1, "a"))
    await agents.aclose()

    if outcome.error is None:
        assert ["slot.start", "slot.done", "slot.audio"] == names(events)
        (done,) = [event for event in events if isinstance(event, SlotDone)]
        assert f"{model_of(provider)} speaks." == done.text
    else:
        assert ["slot.start", "slot.error"] == names(events)
        (failed,) = [event for event in events if isinstance(event, SlotError)]
        assert outcome.error == failed.error.type
    assert {model_of(provider): outcome.requests} == stub.counts
    assert outcome.pauses == len(pauses)
    if mode.startswith("429"):
        assert all(pause_s >= RETRY_AFTER_S for pause_s in pauses)
    told = f"{[event.data() for event in events]} {logs} {caplog.text}"
    assert KEY not in told
    assert "grandmother" not in told


@pytest.mark.e2e
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", [mode for mode in OUTCOMES if OUTCOMES[mode].error])
async def test_the_rehearsal_answers_for_whoever_fails(
    mode: Mode, provider: str, stub: Stub, tmp_path: Path
) -> None:
    """With the rehearsal behind it a failing model is not silent; log and state tell who spoke."""
    stub.modes[model_of(provider)] = mode
    timeout_s = TIMEOUT_S if mode == "slow" else 10
    toml = entry("a", provider, stub, '["rehearsal"]')
    agents = agents_for(settings_for(tmp_path, toml, timeout_s), Pauses())

    events, logs = await session(agents, tmp_path, Slot(1, "a"))
    state = agents.state("a")
    stub.modes.clear()
    await session(agents, tmp_path, Slot(1, "a"))
    recovered = agents.state("a")
    await agents.aclose()

    assert ["slot.start", "slot.done", "slot.audio"] == names(events)
    (answered,) = [log for log in logs if log["event"] == "agent answered"]
    assert "rehearsal" == answered["model"]
    expected = ("failing", OUTCOMES[mode].error, "rehearsal")
    assert expected == (state.state, state.reason, state.answered_by)
    assert state.since is not None
    assert ("ready", PROVIDERS[provider][0]) == (recovered.state, recovered.answered_by)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("openai:gpt-4o", (1.5, 500)),
        ("openai:gpt-5.2", (1.5, 500)),
        ("openai:o3", (None, None)),
        ("openai-chat:llama3.2", (1.5, 500)),
        ("anthropic:claude-sonnet-4-5", (1.0, 500)),
        ("google:gemini-2.0-flash", (1.5, 500)),
        ("google:gemini-3-pro-preview", (None, None)),
    ],
)
async def test_a_model_gets_the_temperature_and_the_tokens_that_it_can_take(
    model: str, expected: tuple[float | None, int | None]
) -> None:
    """One that reasons gets neither; a temperature is at most the provider's highest."""
    providers = Providers(timeout_s=5, temperature=1.5, max_tokens=500)
    choice = ModelChoice(model, "http://127.0.0.1:1/v1")

    settings = providers.model(choice, SecretStr(KEY), None).settings or {}
    said = providers.model(choice, SecretStr(KEY), {"max_tokens": 99}).settings or {}
    await providers.aclose()

    assert expected == (settings.get("temperature"), settings.get("max_tokens"))
    assert 99 == said.get("max_tokens")


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_a_request_is_sent_again_as_often_as_is_set(
    stub: Stub, tmp_path: Path, retries: int
) -> None:
    """`RR_AGENT_RETRIES` bounds the requests of one question."""
    stub.modes[model_of("openai")] = "500 always"
    settings = settings_for(tmp_path, entry("a", "openai", stub), agent_retries=retries)

    agents = agents_for(settings, Pauses())

    with pytest.raises(AgentError):
        await agents.respond(Slot(1, "a"), WORDS, seed=1)
    await agents.aclose()

    assert retries + 1 == stub.counts[model_of("openai")]
