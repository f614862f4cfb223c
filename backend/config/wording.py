"""Values of settings in words: as `.env` has them, and what they may be."""

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

REDACTED = "********"
_TYPES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    SecretStr: "a text",
    Path: "a path",
}
_LIMITS = {
    "ge": "at least {}",
    "gt": "above {}",
    "le": "at most {}",
    "lt": "below {}",
    "min_length": "at least {} characters",
    "max_length": "at most {} characters",
}


def shown(value: Any) -> str:
    """Return a value as `.env` has it; a secret is redacted."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return REDACTED if value else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def explain(kind: str, message: str, field: FieldInfo) -> str:
    """Return what is wrong with a value of `field`, from the type and message of pydantic's error.

    A type without words of ours has pydantic's.
    """
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    allowed = _allowed(field) or message
    return f"is missing; it {allowed}" if kind == "missing" else allowed


def _counted(number: int) -> str:
    names = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return names[number] if number < len(names) else str(number)


def _allowed(field: FieldInfo) -> str:
    kind, separated, metadata = field.annotation, "", field.metadata
    while (origin := get_origin(kind)) in {Union, UnionType, tuple, Annotated}:
        separated = "separated by commas" if origin is tuple else separated
        kind, *more = get_args(kind)
        if origin is Annotated:  # each value of a list
            metadata = [*metadata, *(one for item in more for one in item.metadata)]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    words = f"one of {', '.join(choices)}" if choices else _TYPES.get(kind)
    if words is None:
        return ""
    limits = {
        name: getattr(item, name) for item in metadata for name in _LIMITS if hasattr(item, name)
    }
    example = ("" if field.is_required() else shown(field.default)) or limits.get("ge")
    example = next(iter(field.examples or ()), example)
    if separated and (count := limits.pop("min_length", 0)) == limits.pop("max_length", None):
        words, separated = f"{_counted(count)} values, separated by commas, each {words}", ""
    return ", ".join(
        filter(
            None,
            (
                f"must be {words}",
                " and ".join(_LIMITS[name].format(limit) for name, limit in limits.items()),
                separated,
                f"such as {example}" if example is not None else "",
            ),
        )
    )
