"""Reads a sentiment from a word list, English and German: words count, a negation turns one.

A question counts like a statement: what a visitor asks about is what moves them.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files

from plugins.mood.signals import Sentiment

REACH_BEFORE = 3
"""Words before a feeling among which a negation turns it."""
REACH_AFTER = 2
"""The same after it, for German: `gefällt mir nicht`."""
_CLAUSE_END = re.compile(r"[.,;:!?()\n]")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")


def read_words(text: str) -> tuple[Sentiment, str]:
    """Return the sentiment of a text, and the reason as a short sentence."""
    lists = _lists()
    points = 0
    found: list[str] = []
    for clause in _CLAUSE_END.split(text.lower().replace("\u2019", "'")):
        words = _WORD.findall(clause)
        for place, word in enumerate(words):
            value = _value(word, lists)
            if value and word not in lists["negation"]:
                before = words[max(0, place - REACH_BEFORE) : place]
                after = words[place + 1 : place + 1 + REACH_AFTER]
                negations = sum(one in lists["negation"] for one in before) + after.count("nicht")
                points += -value if negations % 2 else value
                found.append(f"not {word}" if negations % 2 else word)
    named = ", ".join(dict.fromkeys(found))
    if points == 0:
        return "neutral", f"mixed: {named}" if named else "no word shows a mood"
    return ("positive" if points > 0 else "negative"), named


def _value(word: str, lists: dict[str, frozenset[str]]) -> int:
    for candidate in (word, *_stems(word)):
        if candidate in lists["positive"]:
            return 1
        if candidate in lists["negative"]:
            return -1
    return 0


def _stems(word: str) -> list[str]:
    """Return what a regular English or German ending may have been added to."""
    stems = []
    for ending in ("s", "es", "ed", "d", "ing", "ly", "er", "est", "e", "en", "em"):
        if len(word) - len(ending) > 2 and word.endswith(ending):
            stem = word.removesuffix(ending)
            stems += [stem, stem + "e"]
            if stem.endswith("i"):
                stems.append(stem[:-1] + "y")
    return stems


@cache
def _lists() -> dict[str, frozenset[str]]:
    text = files("plugins.mood").joinpath("words.toml").read_text(encoding="utf-8")
    return {name: frozenset(words.split()) for name, words in tomllib.loads(text).items()}
