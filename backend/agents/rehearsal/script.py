"""The rehearsal's written lines, read from `lines/*.toml`.

The lines are data so that whoever has the ear for it can change them without touching code. In a
line, `{word}`, `{thing}`, `{person}`, `{language}`, `{quote}`, `{quotation}`, `{gist}`,
`{dish}` and `{dishes}` are filled in; a capital, as in `{Word}`, asks for a capital.
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

    statement: Deck
    question: Deck
    image: Deck
    closing: Deck
    short: Deck
    comment: Deck
    reply_one: Deck
    reply_many: Deck


class Openings(_Record):
    """First sentences for a message of words of grammar alone."""

    bare_question: Deck
    bare_statement: Deck


class Topic(_Record):
    """What can be said about one subject, and the words that give it away."""

    name: str
    keywords: frozenset[str]
    lines: Annotated[tuple[str, ...], Field(min_length=3)]


class Shared(_Record):
    """The lines that all temperaments share."""

    openings: Openings
    topic: tuple[Topic, ...]


class Manner(_Record):
    """How all six speak where jokes and pictures do not fit, instead of their own lines."""

    name: str
    heard_in: frozenset[str] = frozenset()
    but_not: frozenset[str] = frozenset()
    response: Annotated[tuple[tuple[str, str], ...], Field(min_length=6)]
    """Each with what it said, for a comment on it."""
    comment: Deck
    reply: Deck


class Manners(_Record):
    """The manners, the first that fits before the others, and what names in braces stand for."""

    any_of: dict[str, tuple[str, ...]]
    manner: tuple[Manner, ...]


@cache
def lines_of(temperament: Temperament) -> Lines:
    """Return the lines of `temperament`."""
    return Lines.model_validate(_read(temperament))


@cache
def shared() -> Shared:
    """Return the lines that all temperaments share."""
    return Shared.model_validate(_read("topics"))


@cache
def manners() -> Manners:
    """Return the manners that all temperaments share."""
    return Manners.model_validate(_read("manners"))


def _read(name: str) -> dict[str, object]:
    path = files("backend.agents.rehearsal").joinpath("lines", f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
