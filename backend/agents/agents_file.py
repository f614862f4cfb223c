"""Reads `agents.toml`, which changes the built-in agents and adds new ones.

A fallback is `provider:model`, or a table with `model`, `base_url`, `key` and `output`. One without
a table takes the agent's own `base_url`, `key` and `output` if it has the same provider.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.agents.choices import REHEARSAL, ModelChoice, OutputMode
from backend.agents.registry import DEFAULT_PROFILES, AgentProfile, Temperament
from backend.config import explain, line_of, read_toml
from backend.errors import SettingsError

NEW_AGENT_COLOR = "#8aa0a8"
NEW_AGENT_PERSONA = "You speak plainly and look closely at what was said."
_SHOWN_FIELDS = frozenset({"enabled", "temperament", "output", "temperature", "max_tokens"})
"""Fields whose wrong value is shown; nobody writes a key into them by mistake."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class _Fallback(_Entry):
    """A fallback as a table."""

    model: str
    base_url: str | None = None
    key: str | None = None
    output: OutputMode = "tool"


class _Agent(_Entry):
    """One `[[agents]]` table; None marks what is not in it."""

    id: str = Field(min_length=1)
    enabled: bool = True
    name: str | None = Field(None, min_length=1, max_length=60)
    description: str | None = Field(None, max_length=300)
    color: str | None = None
    persona: str | None = Field(None, max_length=4000)
    temperament: Temperament | None = None
    model: str | None = Field(None, min_length=1)
    base_url: str | None = None
    key: str | None = None
    output: OutputMode | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=16, le=100_000)
    fallback: list[Any] | None = None


def load_profiles(path: Path | None) -> tuple[AgentProfile, ...]:
    """Return the built-in agents and the new ones, or raise SettingsError: a line per problem."""
    if path is None:
        return DEFAULT_PROFILES
    problems: list[str] = []
    profiles = {profile.id: profile for profile in DEFAULT_PROFILES}
    listed: set[str] = set()
    tables, text = _tables(path)
    for number, table in enumerate(tables, start=1):

        def problem(message: str, number: int = number, table: Mapping[str, Any] = table) -> str:
            line = line_of(text, "[agents]", re.findall(r"\w*", message)[0], number)
            return f"{path}, line {line}: agent {table.get('id', number)!r}: {message}"

        try:
            entry = _Agent.model_validate(table)
        except ValidationError as error:
            problems += map(problem, _lines(error, _Agent))
            continue
        if entry.id.casefold() in listed:
            problems.append(problem("is listed twice; put both into one [[agents]] table"))
            continue
        listed.add(entry.id.casefold())
        if not entry.enabled:
            profiles.pop(entry.id, None)
            continue
        try:
            profiles[entry.id] = _profile(entry, profiles.get(entry.id))
        except SettingsError as error:
            problems += map(problem, str(error).splitlines())
    if not profiles and not problems:
        problems.append(f"{path}: no agent is enabled; leave at least one")
    if problems:
        raise SettingsError("\n".join(problems))
    return tuple(profiles.values())


def _tables(path: Path) -> tuple[Iterable[Mapping[str, Any]], str]:
    """Return the `[[agents]]` tables, and the text of the file."""
    data, text = read_toml(path, "RR_AGENTS_FILE")
    unknown = sorted(data.keys() - {"agents"})
    tables = data.get("agents", [])
    if unknown:
        where = f"{path}, line {min(line_of(text, unknown[0]), line_of(text, '', unknown[0]))}"
        raise SettingsError(f"{where}: {unknown[0]!r} is not known; every agent is one [[agents]]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(f"{path}: write [[agents]] in double brackets, with an id, per agent")
    return tables, text


def _profile(entry: _Agent, base: AgentProfile | None) -> AgentProfile:
    if base is None:
        if entry.model is None:
            raise SettingsError("a new agent needs a model such as 'openai:gpt-5.2'")
        base = AgentProfile(
            id=entry.id,
            name=entry.id,
            description="",
            color=NEW_AGENT_COLOR,
            persona=NEW_AGENT_PERSONA,
            model=REHEARSAL.model,
        )
    profile_fields = {field.name for field in fields(AgentProfile)} - {"fallback"}
    said = entry.model_dump(include=profile_fields, exclude_none=True)
    profile = replace(base, **said)
    if entry.fallback is None:
        return profile
    first = profile.first_choice
    return replace(profile, fallback=tuple(_fallback(item, first) for item in entry.fallback))


def _fallback(item: object, first: ModelChoice) -> ModelChoice:
    if isinstance(item, str):
        same_provider = item.partition(":")[0] == first.provider
        return replace(first, model=item) if same_provider else ModelChoice(item)
    try:
        said = _Fallback.model_validate(item)
    except ValidationError as error:
        lines = _lines(error, _Fallback)
        raise SettingsError("\n".join(f"fallback: {line}" for line in lines)) from error
    return ModelChoice(said.model, said.base_url, said.key, said.output)


def _lines(error: ValidationError, entry: type[_Entry]) -> Iterable[str]:
    """Yield a line per problem; a field that could hold a key does not show its value."""
    for problem in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            yield f"{name}: there is no such field; there are {', '.join(entry.model_fields)}"
        elif problem["type"] == "model_type":
            yield "must be 'provider:model' or a table with a model"
        else:
            shown = name in _SHOWN_FIELDS and problem["type"] != "missing"
            value = f"={str(problem['input'])[:60]!r}" if shown else ""
            why = explain(problem["type"], problem["msg"], entry.model_fields[name])
            yield f"{name}{value}: {why}"
