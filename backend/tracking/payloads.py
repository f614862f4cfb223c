"""Payloads of signals as JSON, and back: of plain types, with or without what people say."""

import json
from collections.abc import Collection
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from backend.errors import ReflectiveResonanceError
from backend.signals import TEXTS, AgentText, EventPublished


class PayloadError(ReflectiveResonanceError):
    """A payload is not of plain types, or is none of its signal; the message says why."""


def to_json(value: Any, root: Path | None = None, *, hidden: Collection[Any] = TEXTS) -> bytes:
    """Return `value` as JSON on one line; payloads in it become objects of their fields.

    Texts of the `hidden` types are empty, and paths below `root` relative to it.

    Raises
    ------
    PayloadError
        If a payload in it is not of plain types.
    """

    def plain(value: object) -> object:
        if isinstance(value, Path):
            inside = root is not None and value.is_relative_to(root)
            return value.relative_to(root).as_posix() if inside and root else str(value)
        if isinstance(value, datetime):
            return value.isoformat()
        if not is_dataclass(value) or isinstance(value, type):
            raise PayloadError(f"{type(value).__name__} is no plain type")
        try:
            return _adapter(type(value)).dump_python(_without_texts(value, hidden))
        except Exception as error:
            name = type(value).__name__
            raise PayloadError(f"{name} is not of plain types: {error}") from error

    return json.dumps(value, default=plain, ensure_ascii=False, separators=(",", ":")).encode()


def from_plain(payload: type[Any], values: object, root: Path) -> Any:
    """Return a payload of its class, with absolute paths, or raise PayloadError."""

    def absolute(_: object, __: str, value: Any) -> Any:
        if isinstance(value, Path):
            return root / value
        if isinstance(value, tuple) and any(isinstance(one, Path) for one in value):
            return tuple(root / one if isinstance(one, Path) else one for one in value)
        return value

    try:
        return _changed(_adapter(payload).validate_python(values), absolute)
    except (TypeError, ValueError) as error:
        raise PayloadError(f"not a {payload.__name__}: {error}") from error


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(payload: type[Any]) -> TypeAdapter[Any]:
    """Return what reads and writes payloads of a class; building it takes a millisecond."""
    if payload not in _adapters:
        _adapters[payload] = TypeAdapter(payload)
    return _adapters[payload]


def _changed(value: Any, change: Any) -> Any:
    """Return `value` with `change(owner, name, value)` of each field of the payloads in it."""
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_changed(one, change) for one in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    old = {one.name: getattr(value, one.name) for one in fields(value)}
    new = {name: change(value, name, _changed(one, change)) for name, one in old.items()}
    return replace(value, **{name: one for name, one in new.items() if one is not old[name]})


def _without_texts(event: Any, hidden: Collection[Any]) -> Any:
    def without(owner: Any, name: str, value: Any) -> Any:
        if value and not _types(owner.__class__, name).isdisjoint(hidden):
            return ""
        if isinstance(owner, EventPublished) and name == "data" and AgentText in hidden:
            data = json.loads(value)
            return json.dumps({**data, "text": ""}) if "text" in data else value
        return value

    return _changed(event, without)


@cache
def _types(payload: type[Any], name: str) -> frozenset[Any]:
    """Return the type of a field, and those that it is a union of."""
    hint = get_type_hints(payload, include_extras=True)[name]
    return frozenset({hint, *get_args(hint)})
