"""The rehearsal's written lines, read from `lines/*.toml`.

The lines are data so that whoever has the ear for it can change them without touching code. In a
line, `{word}`, `{thing}`, `{quote}`, `{quotation}`, `{own}`, `{dish}` and `{dishes}` are filled
in; a capital, as in `{Word}`, asks for a capital.
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from backend.agents.registry import Temperament

Deck = Annotated[tuple[str, ...], Field(min_length=6)]
"""At least one line for each of six slots: so no two slots of a session speak the same one."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lines(_Record):
    """The lines of one temperament."""

    voices: Deck
    statement: Deck
    question: Deck
    grave: Deck
    image: Deck
    closing: Deck
    short: Deck
    comment: Deck
    reply_one: Deck
    reply_many: Deck


class Openings(_Record):
    """First sentences for a message that leaves no word to take up."""

    silent: Deck
    unread: Deck
    bare_question: Deck
    bare_statement: Deck


class Topic(_Record):
    """What can be said about one subject, and the words that give it away."""

    name: str
    keywords: frozenset[str]
    grave: bool = False
    lines: Annotated[tuple[str, ...], Field(min_length=3)]


class Shared(_Record):
    """The lines that all temperaments share."""

    openings: Openings
    hush: Deck
    rest: Deck
    topic: tuple[Topic, ...]


@cache
def lines_of(temperament: Temperament) -> Lines:
    """Return the lines of `temperament`."""
    return Lines.model_validate(_read(temperament))


@cache
def shared() -> Shared:
    """Return the lines that all temperaments share."""
    return Shared.model_validate(_read("topics"))


def _read(name: str) -> dict[str, object]:
    path = files("backend.agents").joinpath("lines", f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
