"""Read a settings class; report the source of each value, and names that nothing reads."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dotenv.parser import Binding
from pydantic import AliasChoices, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as UnparsableError

from backend.config.env_file import ENV_FILE, env_file
from backend.config.text_file import FileError
from backend.config.wording import REDACTED, explain, shown
from backend.errors import ReflectiveResonanceError

S = TypeVar("S", bound=BaseSettings)

_LOGIN = re.compile(r"(\w+://)?[^\s'\",]*:.*@")
"""A user and password in an address."""


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One setting with its value and its source."""

    variable: str
    value: str
    source: str
    description: str
    default: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A variable, or a line of `.env`, that nothing reads."""

    name: str
    """The name as it is written; empty for a line that is no setting."""
    where: str
    """`environment`, or the file and its line."""
    reason: str
    nearest: str | None = None
    """The most similar known name."""
    is_mistake: bool = True
    """False if it may be meant for another program."""

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.name} ({self.where}): {self.reason}{hint}".lstrip()


def variables(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Return the environment variable of every field of `settings`."""
    return {_names(settings, name)[0]: field for name, field in settings.model_fields.items()}


def effective(settings: BaseSettings) -> list[EffectiveSetting]:
    """Return every setting with its value, secrets redacted, and its source."""
    cls = type(settings)
    rows = []
    for name, (variable, field) in zip(cls.model_fields, variables(cls).items(), strict=True):
        written, source = _written(cls, name)
        if not source:
            source = "command line" if name in settings.model_fields_set else "default"
        elif written != variable:
            source = f"{source}, {written}"
        value = shown(getattr(settings, name))
        default = "" if field.is_required() else shown(field.get_default(call_default_factory=True))
        rows.append(EffectiveSetting(variable, value, source, field.description or "", default))
    return rows


def read_settings(settings: type[S], wrong: type[ReflectiveResonanceError], **given: Any) -> S:
    """Read settings, or raise `wrong` with a line for each wrong one; `given` replaces others."""
    try:
        return settings(**given)
    except ValidationError as error:
        raise wrong(_problems(error, settings)) from error
    except FileError as error:
        raise wrong(str(error)) from error
    except UnparsableError as error:
        raise wrong(f"{settings.model_config.get('env_prefix', '')}...: {error}") from error


def _problems(error: ValidationError, settings: type[BaseSettings]) -> str:
    """Return one line for each problem: the variable, its value, what it may be."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        given = str(problem["loc"][0]) if problem["loc"] else ""
        name = next(
            (
                field
                for field in settings.model_fields
                if given == field or given.upper() in _names(settings, field)
            ),
            None,
        )
        if name is None:
            lines.append(problem["msg"].removeprefix("Value error, "))
            continue
        variable, _ = _written(settings, name)
        secret = any(word in variable for word in ("KEY", "TOKEN", "SECRET", "PASSWORD"))
        value = _LOGIN.sub(rf"\1{REDACTED}@", repr(problem["input"]))[:80]
        value = REDACTED if secret else value
        written = "" if problem["type"] == "missing" else f"={value}"
        why = explain(problem["type"], problem["msg"], settings.model_fields[name])
        lines.append(f"{variable}{written}: {why}")
    return "\n".join(lines)


def unread(
    prefix: str,
    known: Iterable[type[BaseSettings]],
    *,
    keys: Iterable[str] = (),
    replaced: Mapping[str, str] | None = None,
    broken: Mapping[str, str] | None = None,
) -> list[Unread]:
    """Return each variable with `prefix`, and each line of `.env`, that nothing reads.

    `known` classes read their variables in any case, `keys` are read as they are. `replaced` says
    what to do instead of a name, `broken` why the plugin of a prefix cannot be loaded.
    """
    classes = list(known)
    names = {name for cls in classes for field in cls.model_fields for name in _names(cls, field)}
    keys = set(keys)
    suggested = keys.union(*map(variables, classes))

    def called(name: str) -> str:
        return name.upper() if name.upper() in names else name

    def judge(name: str, where: str) -> Unread | None:
        if name.upper() in names or name in keys:
            return None
        if instead := (replaced or {}).get(name.upper()):
            return Unread(name, where, f"of an earlier version, not read: {instead}", None, False)
        for start, problem in (broken or {}).items():
            if name.upper().startswith(start):
                return Unread(name, where, f"its plugin cannot be loaded: {problem}")
        nearest = _nearest(name, suggested)
        ours = name.upper().startswith(prefix) or nearest is not None
        return Unread(name, where, "nothing reads it", nearest, ours)

    found = [
        judge(name, "environment") for name in sorted(os.environ) if name.upper().startswith(prefix)
    ]
    lines = env_file().lines
    last = {called(one.key): number for number, one in lines if one.key}
    for number, one in lines:
        where = f"{ENV_FILE}, line {number}"
        if one.key is None or one.value is None:
            found.append(_no_setting(one, where, suggested))
        elif last[called(one.key)] != number:
            again = f"line {last[called(one.key)]} sets it again"
            found.append(Unread(one.key, where, again))
        else:
            found.append(judge(one.key, where))
    return [one for one in found if one is not None]


def _no_setting(line: Binding, where: str, names: Iterable[str]) -> Unread:
    """Report a line without `=`; it may be a secret, so it is shown only if it is a name."""
    word = re.match(r"\s*(?:export\s+)?(\w+)", line.original.string)
    name = word[1] if word and _nearest(word[1], names) else ""
    return Unread(name, where, "the line is no setting: write NAME=value")


def _nearest(name: str, names: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name.upper(), names, n=1, cutoff=0.6)), None)


def _names(settings: type[BaseSettings], name: str) -> list[str]:
    """Return the variables that a field is read from, the current name first."""
    alias = settings.model_fields[name].validation_alias
    own = f"{settings.model_config.get('env_prefix', '')}{name}".upper()
    aliases = alias.choices if isinstance(alias, AliasChoices) else [alias]
    names = [one.upper() for one in aliases if isinstance(one, str)]
    by_name = not names or settings.model_config.get("validate_by_name")
    return list(dict.fromkeys([*names, own] if by_name else names))


def _written(settings: type[BaseSettings], name: str) -> tuple[str, str]:
    """Return the name and the source that set a field, or its variable and an empty text."""
    names = _names(settings, name)
    sources = {
        "environment": {key.upper() for key, value in os.environ.items() if value},
        ENV_FILE: {key.upper() for key, value in env_file().values.items() if value},
    }
    found = [(one, source) for source, those in sources.items() for one in names if one in those]
    return found[0] if found else (names[0], "")
