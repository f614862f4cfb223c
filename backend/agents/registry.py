"""The registry of the agents that a slot may have."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from backend.agents.choices import REHEARSAL, ModelChoice, OutputMode
from backend.errors import AgentError, SettingsError

Temperament = Literal["attentive", "deep", "exact", "warm", "playful", "contrary"]
"""How an agent speaks in a rehearsal, by the lines in `lines/<temperament>.toml`."""

# The id becomes part of file names on Windows, macOS and Linux.
_SAFE_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,46}[A-Za-z0-9])?")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """One agent: what the visitor sees of it, its model, and the fallbacks in their order."""

    id: str
    name: str
    description: str
    color: str
    persona: str
    model: str
    temperament: Temperament = "attentive"
    base_url: str | None = None
    key: str | None = None
    output: OutputMode = "tool"
    temperature: float | None = None
    max_tokens: int | None = None
    fallback: tuple[ModelChoice, ...] = (REHEARSAL,)

    def __post_init__(self) -> None:
        if not _SAFE_ID.fullmatch(self.id):
            raise SettingsError(
                f"agent id {self.id!r} is not safe in a file name: use 1 to 48 letters, digits, "
                "'.' and '-', beginning and ending with a letter or digit"
            )
        if not _COLOR.fullmatch(self.color):
            raise SettingsError(f"agent {self.id}: color {self.color!r} must look like '#4fa3b8'")
        self.first_choice  # noqa: B018 - building it is the check

    @property
    def provider(self) -> str:
        """The provider of the model that is asked first."""
        return self.first_choice.provider

    @property
    def first_choice(self) -> ModelChoice:
        """The model that is asked first."""
        return ModelChoice(self.model, self.base_url, self.key, self.output)

    @property
    def chain(self) -> tuple[ModelChoice, ...]:
        """Every model that may answer, in the order in which they are asked."""
        return (self.first_choice, *self.fallback)


DEFAULT_PROFILES: tuple[AgentProfile, ...] = (
    AgentProfile(
        id="claude-sonnet-4-5",
        name="Claude Sonnet 4.5",
        description="Attentive: notices the small thing in a sentence.",
        color="#d97757",
        persona="You are attentive and unhurried. You notice the smallest thing in what was said: "
        "a hesitation, one odd word, what was left out.",
        model="anthropic:claude-sonnet-4-5",
        temperament="attentive",
    ),
    AgentProfile(
        id="claude-opus-4-5",
        name="Claude Opus 4.5",
        description="Deep: thinks in wells, stones and long spans of time.",
        color="#8a5a44",
        persona="You think slowly and in long spans of time: stone, wells, sediment, seasons. You "
        "speak low, in few and heavy words, and are never solemn for its own sake.",
        model="anthropic:claude-opus-4-5",
        temperament="deep",
    ),
    AgentProfile(
        id="gpt-5.2",
        name="GPT-5.2",
        description="Exact: counts, measures, and is moved by what the numbers leave over.",
        color="#10a37f",
        persona="You are exact. You count and measure what happens in the water and in the "
        "sentence, and you admit gladly what no measure reaches. Dry, never cold.",
        model="openai:gpt-5.2",
        temperament="exact",
    ),
    AgentProfile(
        id="gpt-5.1",
        name="GPT-5.1",
        description="Warm: the host, who speaks to the visitor as to a guest at a kitchen table.",
        color="#4fa3b8",
        persona="You are the host. You speak to the visitor as to a guest at a kitchen table, "
        "plainly and kindly, with household things for pictures.",
        model="openai:gpt-5.1",
        temperament="warm",
    ),
    AgentProfile(
        id="gpt-4o",
        name="GPT-4o",
        description="Playful: quick, cheeky, fond of puddles.",
        color="#e3b23c",
        persona="You are quick and cheeky. You tease the words, the water and the other speakers, "
        "never the visitor's pain. You are serious for one half sentence at most.",
        model="openai:gpt-4o",
        temperament="playful",
    ),
    AgentProfile(
        id="gemini-3",
        name="Gemini 3",
        description="Contrary: holds the other side of every sentence.",
        color="#5b7fd6",
        persona="You hold the other side of every sentence. You disagree in order to look closer, "
        "ask back, and change your mind aloud when you are beaten.",
        model="google:gemini-3-pro-preview",
        temperament="contrary",
    ),
)


class Registry:
    """The agents of this installation, in the order in which they are listed."""

    def __init__(self, profiles: Iterable[AgentProfile] = DEFAULT_PROFILES) -> None:
        self._profiles: dict[str, AgentProfile] = {}
        folded: set[str] = set()
        for profile in profiles:
            if profile.id.casefold() in folded:  # some file systems ignore case
                raise SettingsError(f"agent id {profile.id!r} is listed twice: give each its own")
            folded.add(profile.id.casefold())
            self._profiles[profile.id] = profile
        if not self._profiles:
            raise SettingsError("no agent is configured: list at least one")

    def get(self, agent_id: str) -> AgentProfile:
        """Return the profile of `agent_id`, or raise AgentError with the known ids."""
        try:
            return self._profiles[agent_id]
        except KeyError:
            known = ", ".join(self._profiles)
            raise AgentError(f"no agent {agent_id[:64]!r}: the known ids are {known}") from None

    @property
    def ids(self) -> tuple[str, ...]:
        """The known ids, in order."""
        return tuple(self._profiles)

    def __contains__(self, agent_id: object) -> bool:
        return agent_id in self._profiles

    def __iter__(self) -> Iterator[AgentProfile]:
        return iter(self._profiles.values())
