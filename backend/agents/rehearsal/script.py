"""The rehearsal's written lines, read from `lines/*.toml`.

In a line, `{word}`, `{thing}`, `{person}`, `{language}`, `{quote}`, `{quotation}`, `{gist}`,
`{dish}`, `{dishes}`, `{quotes}` and `{sayings}` are filled in; `{Word}` gives a capital letter.
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from backend.agents.registry import Temperament

SixLines = Annotated[tuple[str, ...], Field(min_length=6)]
"""At least one line for each of six slots: so no two slots of a session speak the same one."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lines(_Record):
    """The lines of one temperament."""

    statement: SixLines
    question: SixLines
    image: SixLines
    closing: SixLines
    short: SixLines
    comment: SixLines
    reply_one: SixLines
    reply_many: SixLines
    summary: tuple[str, ...]


class Openings(_Record):
    """First sentences for a message without content words."""

    bare_question: SixLines
    bare_statement: SixLines


class Topic(_Record):
    """Lines about one subject, and the words by which it is recognised."""

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
    phrases: frozenset[str] = frozenset()
    but_not: frozenset[str] = frozenset()
    response: Annotated[tuple[tuple[str, str], ...], Field(min_length=6)]
    """Each with its gist, for a comment on it."""
    comment: SixLines
    reply: SixLines


class Manners(_Record):
    """The manners, in the order in which they are tried, and what names in braces stand for."""

    any_of: dict[str, tuple[str, ...]]
    summary: tuple[str, ...]
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
