"""Builds the agents from the settings, `agents.toml` and the prompts."""

from dataclasses import replace
from functools import partial

from backend.agents.agents import Agents
from backend.agents.agents_file import load_profiles
from backend.agents.models import Chains, Keys, Providers
from backend.agents.prompts import Prompts
from backend.agents.registry import Registry
from backend.agents.states import States
from backend.config import Settings
from backend.errors import SettingsError
from backend.services import RetryPolicy


def check_agents(settings: Settings) -> None:
    """Raise SettingsError, with one line per problem, if agents or prompts cannot be used."""
    problems: list[str] = []
    for check in (
        lambda: _registry(settings),
        lambda: Prompts(settings.prompts_dir),
    ):
        try:
            check()
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("\n".join(problems))


def key_variables(settings: Settings) -> set[str]:
    """Return the names of the variables that the agents' keys are read from."""
    profiles = load_profiles(settings.agents_file)
    return {choice.variable for one in profiles for choice in one.chain if choice.variable}


def create_agents(settings: Settings, retry_policy: RetryPolicy | None = None) -> Agents:
    """Return the agents that `settings` ask for, or raise SettingsError; close with `aclose()`."""
    registry = _registry(settings)
    prompts = Prompts(settings.prompts_dir)
    chains = Chains(registry, Keys(settings))
    providers = Providers(
        timeout_s=settings.agent_timeout_s,
        policy=replace(retry_policy or RetryPolicy(), retries=settings.agent_retries),
        temperature=settings.agent_temperature,
        max_tokens=settings.agent_max_tokens,
    )
    return Agents(
        registry,
        model_factory=chains,
        timeout_s=settings.agent_timeout_s,
        prompts=prompts,
        states=States(chains.without_key),
        rehearsing=chains.rehearsing,
        memory_tokens=settings.agent_memory_tokens,
        build=partial(chains.build, providers) if chains.has_models else None,
        on_close=providers.aclose,
    )


def _registry(settings: Settings) -> Registry:
    registry = Registry(load_profiles(settings.agents_file))
    if settings.summary_agent and settings.summary_agent not in registry:
        known = ", ".join(registry.ids)
        raise SettingsError(
            f"RR_SUMMARY_AGENT={settings.summary_agent}: no such agent; the agents are {known}"
        )
    return registry
