"""Payloads as JSON, with or without what people say."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.signals import AgentText, VisitorText
from backend.tracking import PayloadError, from_plain, to_json


@dataclass(frozen=True, slots=True)
class Wave:
    path: Path
    said: AgentText | None = None


@dataclass(frozen=True, slots=True)
class Tide:
    waves: tuple[Wave, ...]
    question: VisitorText
    height: float = 1.5


TIDE = Tide((Wave(Path("/art/a.wav"), "Agent words"), Wave(Path("/else/b.wav"))), "Visitor words")


def test_texts_are_hidden_however_deep() -> None:
    """Without being told to, no words are in it; each kind can be let through by itself."""
    whole = to_json({"data": TIDE}, hidden=()).decode()
    without_visitors = to_json({"data": TIDE}, hidden=(VisitorText,)).decode()

    assert "words" not in to_json({"data": TIDE}).decode()
    assert "Agent words" in without_visitors
    assert "Visitor words" not in without_visitors
    assert "Visitor words" in whole


def test_what_is_written_is_read_again() -> None:
    """Payloads in a tuple come back too, with their files below the root of today."""
    written = json.loads(to_json(TIDE, Path("/art"), hidden=()))

    assert ["a.wav", "/else/b.wav"] == [wave["path"] for wave in written["waves"]]
    assert Path("/new/a.wav") == from_plain(Tide, written, Path("/new")).waves[0].path
    assert TIDE == from_plain(Tide, written, Path("/art"))


def test_what_cannot_be_written_or_read_is_named() -> None:
    """An object that is no plain type, and values that are none of the payload."""

    @dataclass(frozen=True)
    class Turned:
        by: object

    with pytest.raises(PayloadError, match="object is no plain type"):
        to_json(Turned(object()))
    with pytest.raises(PayloadError, match="not a Wave"):
        from_plain(Wave, {"path": 1}, Path("/"))
