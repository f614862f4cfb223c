"""What can be said about a settings class: variables, sources, problems, likely misspellings."""

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

REDACTED = "********"


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One setting as it is in force."""

    variable: str
    value: str
    source: str
    description: str


def variables(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Return the environment variable of every field of `settings`."""
    return {_variable(settings, name): field for name, field in settings.model_fields.items()}


def effective(settings: BaseSettings) -> list[EffectiveSetting]:
    """Return every setting with its value, secrets redacted, and where it came from."""
    cls = type(settings)
    in_file = {key.upper() for key in _read_env_file(cls)}
    in_environment = {key.upper() for key, value in os.environ.items() if value}
    rows = []
    for name, field in cls.model_fields.items():
        variable = _variable(cls, name)
        if variable in in_environment:
            source = "environment"
        elif variable in in_file:
            source = str(cls.model_config.get("env_file"))
        else:
            source = "command line" if name in settings.model_fields_set else "default"
        rows.append(
            EffectiveSetting(
                variable, _shown(getattr(settings, name)), source, field.description or ""
            )
        )
    return rows


def describe_problems(error: ValidationError, settings: type[BaseSettings]) -> str:
    """Return one line per problem: the variable, the value it has, what it should be."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        variable = _variable(settings, name) if name in settings.model_fields else name
        secret = "KEY" in variable or "TOKEN" in variable
        value = REDACTED if secret else repr(problem["input"])[:80]
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{variable}={value}: {message}" if variable else message)
    return "\n".join(lines)


def describe_encoding(error: UnicodeDecodeError) -> str:
    """Return what is wrong with a file of settings that some editor saved in its own way."""
    return f".env is not UTF-8: save it as UTF-8 ({error})"


def unknown_variables(
    prefix: str, known: Iterable[type[BaseSettings]]
) -> list[tuple[str, str | None]]:
    """Return each variable with `prefix` that is not known, and the nearest name that is."""
    classes = list(known)
    names = {variable for settings in classes for variable in variables(settings)}
    present = {key.upper() for key in os.environ}
    for settings in classes:
        present |= {key.upper() for key in _read_env_file(settings)}
    return [
        (name, next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), None))
        for name in sorted(present - names)
        if name.startswith(prefix)
    ]


def _variable(settings: type[BaseSettings], name: str) -> str:
    alias = settings.model_fields[name].validation_alias
    if isinstance(alias, str):
        return alias.upper()
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def _read_env_file(settings: type[BaseSettings]) -> dict[str, str]:
    path = settings.model_config.get("env_file")
    if not isinstance(path, str):
        return {}
    return {key: value for key, value in dotenv_values(path, encoding="utf-8").items() if value}


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return REDACTED
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
