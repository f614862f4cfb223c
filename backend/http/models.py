"""The base of what routes take and answer."""

import re
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from backend.plugins import State


class CamelCase(BaseModel):
    """A model whose fields have names in camelCase over HTTP."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class PartHealth(BaseModel):
    """The state of speech, of hearing, or of a plugin."""

    state: State
    reason: str


def matching(pattern: str, words: str) -> Callable[[str], str]:
    """Return a validator that refuses a text without `pattern`; `words` say what to write."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(words)
        return text

    return check
