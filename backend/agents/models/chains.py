"""The models of each agent, first choice and fallbacks, without those whose key is missing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog
from pydantic import SecretStr

from backend.agents.choices import ModelChoice
from backend.agents.models.candidates import Candidate
from backend.agents.models.keys import Keys
from backend.agents.registry import AgentProfile, Registry
from backend.agents.turns import AnyTurn
from backend.errors import AgentError

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

    from backend.agents.models.providers import Providers

log = structlog.get_logger(__name__)


class Chains:
    """A `ModelFactory` over the real providers.

    `without_key` holds the ids of the agents whose first choice has no key.
    """

    def __init__(self, registry: Registry, keys: Keys) -> None:
        self._chains: dict[str, list[tuple[ModelChoice, SecretStr | None]]] = {}
        self._registry = registry
        self._models: dict[tuple[str, ModelChoice], Model] = {}
        self.without_key: set[str] = set()
        missing: dict[str, set[str]] = {}
        for profile in registry:
            chain = self._chains[profile.id] = []
            for choice in profile.chain:
                key = keys.get(choice.variable) if choice.variable else None
                if choice.is_offline or key is not None or choice.variable is None:
                    chain.append((choice, key))
                else:
                    missing.setdefault(choice.variable, set()).add(profile.id)
                    if choice == profile.first_choice:
                        self.without_key.add(profile.id)
        for variable, agents in sorted(missing.items()):
            first = {chain[0][0].model for agent in agents if (chain := self._chains[agent])}
            log.info("the key is not set", key=variable, answered_by=sorted(first) or "nobody")

    @property
    def has_models(self) -> bool:
        """Whether any model may answer, not only the rehearsal."""
        return self.rehearsing < self._chains.keys()

    @property
    def rehearsing(self) -> set[str]:
        """The ids of the agents that no model answers for, only the rehearsal."""
        return {
            agent_id
            for agent_id, chain in self._chains.items()
            if all(choice.is_offline for choice, _ in chain)
        }

    def build(self, providers: "Providers") -> None:
        """Build the models, which imports the libraries of their providers: a second each."""
        for profile in self._registry:
            for choice, key in self._chains[profile.id]:
                if not choice.is_offline:
                    model = providers.model(choice, key, _settings(profile))
                    self._models[profile.id, choice] = model

    def __call__(self, profile: AgentProfile, turn: AnyTurn) -> Sequence[Candidate]:  # noqa: ARG002 - a ModelFactory's signature
        """Return the models that may answer; raise AgentError if there is none."""
        candidates = [
            Candidate(
                self._models.get((profile.id, choice)),
                choice.model,
                choice.output,
                is_first_choice=choice == profile.first_choice,
            )
            for choice, _ in self._chains[profile.id]
            if choice.is_offline or (profile.id, choice) in self._models
        ]
        if not candidates:
            raise AgentError(
                f"{profile.name} has no key: set {profile.first_choice.variable} in .env, or give "
                "it a fallback"
                if not self._chains[profile.id]
                else f"{profile.name} has no model that could be built: see the log"
            )
        return candidates


def _settings(profile: AgentProfile) -> "ModelSettings | None":
    settings: ModelSettings = {}
    if profile.temperature is not None:
        settings["temperature"] = profile.temperature
    if profile.max_tokens is not None:
        settings["max_tokens"] = profile.max_tokens
    return settings or None
