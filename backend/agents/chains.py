"""The models of each agent, built once at start: its first choice and its fallbacks.

A model whose key is missing is left out, and the next one in the chain answers; with the chain that
an agent has unless it says otherwise, that is the rehearsal. Models are built at start, not when a
visitor first speaks, because importing a provider's library holds up everything for a second.
"""

from collections.abc import Sequence

import structlog
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

from backend.agents.choices import ModelChoice
from backend.agents.keys import Keys
from backend.agents.models import Candidate
from backend.agents.providers import Providers
from backend.agents.registry import AgentProfile, Registry
from backend.agents.rehearsal import rehearsal_model
from backend.agents.turns import AnyTurn
from backend.errors import AgentError

log = structlog.get_logger(__name__)


class Chains:
    """A `ModelFactory` over the real providers.

    `without_key` holds the ids of the agents whose first choice has no key.
    """

    def __init__(self, registry: Registry, keys: Keys, providers: Providers) -> None:
        self._chains: dict[str, list[tuple[ModelChoice, Model | None]]] = {}
        self.without_key: set[str] = set()
        missing: set[str] = set()
        for profile in registry:
            chain = self._chains[profile.id] = []
            for choice in profile.chain:
                key = keys.get(choice.variable) if choice.variable else None
                if choice.is_offline:
                    chain.append((choice, None))
                elif key is not None or choice.variable is None:
                    chain.append((choice, providers.model(choice, key, _settings(profile))))
                else:
                    missing.add(choice.variable)
                    if choice == profile.first_choice:
                        self.without_key.add(profile.id)
        for variable in sorted(missing):
            log.info("no key, so its models are left out", key=variable)

    def __call__(self, profile: AgentProfile, turn: AnyTurn) -> Sequence[Candidate]:
        """Return the models that may answer; raise AgentError if none has its key."""
        candidates = [
            Candidate(
                rehearsal_model(profile, turn) if model is None else model,
                choice.model,
                choice.output,
                is_first_choice=choice == profile.first_choice,
            )
            for choice, model in self._chains[profile.id]
        ]
        if not candidates:
            raise AgentError(
                f"{profile.name} has no key: set {profile.first_choice.variable} in .env, or give "
                "it a fallback"
            )
        return candidates


def _settings(profile: AgentProfile) -> ModelSettings | None:
    settings = ModelSettings()
    if profile.temperature is not None:
        settings["temperature"] = profile.temperature
    if profile.max_tokens is not None:
        settings["max_tokens"] = profile.max_tokens
    return settings or None
