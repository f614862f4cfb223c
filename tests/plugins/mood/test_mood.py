"""The mood of what a visitor said: by a word list, by a model, and never later than a second."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from backend.agents import AgentProfile, Agents, Registry
from backend.agents.models import Candidate
from backend.agents.turns import AnyTurn
from backend.errors import AgentError
from backend.plugins import Host
from backend.signals import SessionStarted, emit, session_started
from backend.storage import Artifacts
from plugins.mood import plugin as mood_plugin
from plugins.mood.plugin import Mood, lifespan
from plugins.mood.settings import MoodSettings, plugin
from plugins.mood.signals import MoodRead, Sentiment, mood_read
from plugins.mood.words import read_words
from tests.patience import LIMIT_S
from tests.simulated import NOW

SENTENCES: dict[Sentiment, list[str]] = {
    "positive": [
        "I love the sound of the sea.",
        "What a wonderful day!",
        "Thank you, this is beautiful.",
        "I am so happy to be here",
        "My daughter laughed for the first time today.",
        "This is not bad at all.",
        "I am no longer afraid.",
        "It smells amazing in here",
        "You make me smile",
        "We are celebrating our friendship.",
        "I feel calm and safe.",
        "Ich liebe das Wasser.",
        "Das ist wunderschön!",
        "Ich bin so glücklich.",
        "Danke, das war toll.",
    ],
    "neutral": [
        "What does the water remember?",
        "How deep is the lake?",
        "Where does the river end?",
        "Is it raining?",
        "Six speakers stand in a ring.",
        "Tell me about the moon.",
        "asdf",
        "",
        "Was ist das?",
        "Wie tief ist der See?",
    ],
    "negative": [
        "I hate you.",
        "My brother drowned last year.",
        "I am so sad and lonely.",
        "This is terrible, I'm disappointed.",
        "I don't like it, it is not beautiful",
        "Why does everybody die?",
        "I'm scared of the dark.",
        "My mother is ill",
        "I can't stop crying",
        "You are stupid and boring.",
        "The war has destroyed our house.",
        "I feel empty.",
        "Ich bin traurig.",
        "Ich habe Angst vor dem Krieg.",
        "Das gefällt mir nicht.",
    ],
}


@pytest.mark.parametrize(
    ("sentiment", "text"), [(mood, text) for mood, texts in SENTENCES.items() for text in texts]
)
def test_the_word_list_reads_a_sentence(sentiment: Sentiment, text: str) -> None:
    """The word list knows plain feelings, their negations, and German."""
    assert sentiment == read_words(text)[0]


def test_the_reason_names_the_words_that_decide() -> None:
    """What is turned by a negation is named with it."""
    assert ("negative", "not beautiful, sad") == read_words("It is not beautiful. It's sad, so sad")


@asynccontextmanager
async def running(agent: str = "", ask: Any = None, statuses: Any = None) -> Any:
    """Run the plugin, and yield what it sends."""
    sent: asyncio.Queue[MoodRead] = asyncio.Queue()

    def receive(_: object, *, event: MoodRead) -> None:
        sent.put_nowait(event)

    report = (lambda *status: statuses.append(status)) if statuses is not None else lambda *_: None
    host = Host(Artifacts(Path()), report, "mood", ask=ask)
    with mood_read.connected_to(receive):
        async with lifespan(host, MoodSettings(enabled=True, agent=agent)):
            yield sent


def start(text: str | None, session_id: str = "one") -> None:
    """Start a session on the bus."""
    emit(session_started, None, SessionStarted(session_id, (1,), NOW, text=text))


def agents_that(answer: Callable[[], Awaitable[dict[str, str]]]) -> Agents:
    """Return agents whose model answers so."""

    async def reply(_: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, await answer())])

    def factory(_profile: AgentProfile, _turn: AnyTurn) -> list[Candidate]:
        return [Candidate(), Candidate(FunctionModel(reply), "test")]

    return Agents(Registry(), model_factory=factory)


async def test_every_session_gets_its_mood() -> None:
    """Each session that starts ends in one `mood_read`, by its own words."""
    async with running() as sent:
        start("I am happy", "one")
        start("I am sad", "two")
        start(None, "three")
        moods = [await asyncio.wait_for(sent.get(), LIMIT_S) for _ in range(3)]

    found = {mood.session_id: (mood.sentiment, mood.read_by) for mood in moods}
    assert found == {
        "one": ("positive", "word list"),
        "two": ("negative", "word list"),
        "three": ("neutral", "word list"),
    }


async def test_a_model_reads_the_mood(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of the agent that is set are asked, and its rehearsal is not."""
    monkeypatch.setattr(mood_plugin, "LIMIT_S", LIMIT_S)

    async def answer() -> dict[str, str]:
        return {"sentiment": "negative", "reason": "The visitor is bitter."}

    async with running("gpt-4o", agents_that(answer).judge) as sent:
        start("What a wonderful day, really.")
        mood = await asyncio.wait_for(sent.get(), LIMIT_S)

    assert ("negative", "The visitor is bitter.", "model") == (
        mood.sentiment,
        mood.reason,
        mood.read_by,
    )


async def test_a_model_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time limit the word list answers, and the plugin says so."""
    monkeypatch.setattr(mood_plugin, "LIMIT_S", 0.01)
    statuses: list[tuple[str, str]] = []

    async def answer() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async with running("gpt-4o", agents_that(answer).judge, statuses) as sent:
        start("I am happy")
        mood = await asyncio.wait_for(sent.get(), LIMIT_S)

    assert ("positive", "word list") == (mood.sentiment, mood.read_by)
    assert [("degraded", "the word list reads the mood: no answer within 0.01 s")] == statuses


async def test_an_agent_that_does_not_exist_is_named() -> None:
    """The word list answers, and the state names the agents that exist."""
    statuses: list[tuple[str, str]] = []
    agents = Agents(Registry())

    async with running("gpt-9", agents.judge, statuses) as sent:
        start("I am sad")
        mood = await asyncio.wait_for(sent.get(), LIMIT_S)

    assert mood.sentiment == "negative"
    assert "there is no agent 'gpt-9': choose one of claude-sonnet-4-5, " in statuses[0][1]


async def test_agents_without_a_model_are_not_asked() -> None:
    """The rehearsal never reads a mood."""
    with pytest.raises(AgentError, match="has no model with a key"):
        await Agents(Registry()).judge("gpt-4o", "", "words", Mood)


async def test_it_stops_while_a_model_is_asked() -> None:
    """The stop does not wait for a model."""
    asked = asyncio.Event()

    async def ask(*_: object) -> Mood:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with asyncio.timeout(LIMIT_S):
        async with running("gpt-4o", ask) as sent:
            start("I am happy")
            await asked.wait()

    assert sent.empty()


def test_it_is_off_until_it_is_asked_for() -> None:
    """A visitor's words are given to it only where the artist wants that."""
    assert not MoodSettings().enabled
    assert plugin.include_text
