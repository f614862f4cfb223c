"""The type of settings that are lists: values separated by commas, or a JSON list."""

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

T = TypeVar("T")

NONE = "none"
"""An empty list in `.env`, where an empty value means the default."""

_IPV6 = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%[^\]]*)?\]")


def split(value: object) -> object:
    """Return the values of a text; anything else unchanged."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.lower() == NONE:
        return ()
    parts = _json_list(text) if text.startswith("[") and not _IPV6.match(text) else text.split(",")
    return tuple(part.strip() for part in parts if part.strip())


def _json_list(text: str) -> list[str]:
    how = 'write a, b or ["a", "b"]'
    try:
        parts: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not a JSON list ({error}): {how}") from error
    if not all(isinstance(part, str) for part in parts):
        raise ValueError(f"each value of the list must be a text: {how}")
    return list(parts)


Listed = Annotated[tuple[T, ...], NoDecode, BeforeValidator(split)]
"""The type of such a setting: `targets: Listed[str]`."""
