"""Finds the topic of a visitor's message, or the manner that replaces the agents' own lines."""

from functools import cache

from backend.agents.rehearsal.keywords import extract_keywords, spoken_words
from backend.agents.rehearsal.script import Manner, Topic, manners, shared

IN_ANY_LANGUAGE = {"caring"}
"""Manners whose phrases are in several languages."""


def manner_of(message: str) -> tuple[Manner, dict[str, str]] | None:
    """Return the manner that fits and its placeholders; None for the agents' own lines."""
    words = spoken_words(message)
    by_name = {manner.name: manner for manner in manners().manner}
    keywords = extract_keywords(message)
    for manner in by_name.values():
        if keywords.language and manner.name not in IN_ANY_LANGUAGE:
            continue  # German "die" and "war" are no English words
        if _matches(manner, words):
            return manner, _person(words)
    if keywords.language:
        return by_name["foreign"], {"language": keywords.language}
    if keywords.is_silent:
        return by_name["plain"], {}
    if len(words) == 1 and keywords.words and topic_of(message) is None:
        name = keywords.words[0].capitalize()
        return by_name["single"], {"word": name if name in message else keywords.words[0]}
    return None


def topic_of(message: str) -> Topic | None:
    """Return the topic that most words of the message point to."""
    words = set(spoken_words(message))
    best = max(shared().topic, key=lambda topic: len(topic.keywords & words))
    return best if best.keywords & words else None


def _matches(manner: Manner, words: list[str]) -> bool:
    text = f" ^ {' '.join(words)} $ "
    for phrase in _expanded(manner.but_not):
        text = text.replace(f" {phrase} ", " / ")
    words, phrases = text.split(), _expanded(manner.phrases)
    lengths = {phrase.count(" ") + 1 for phrase in phrases}
    return any(
        " ".join(words[start : start + length]) in phrases
        for start in range(len(words))
        for length in lengths
    )


@cache
def _expanded(phrases: frozenset[str]) -> frozenset[str]:
    """Return phrases with their names in braces filled in, also as typed without apostrophes."""
    filled = set(phrases)
    for name, words in manners().any_of.items():
        gap = f"{{{name}}}"
        filled |= {phrase.replace(gap, word) for phrase in filled for word in words}
        filled = {phrase for phrase in filled if gap not in phrase}
    return frozenset(filled | {phrase.replace("'", "") for phrase in filled})


def _person(words: list[str]) -> dict[str, str]:
    """Return the person the visitor speaks of, as a speaker says it; none if harm is mentioned."""
    text, any_of = f" {' '.join(words)} ", manners().any_of
    found = [person for person in any_of["person"] if f" my {person} " in text]
    return {"person": f"your {found[0]}"} if found and set(words).isdisjoint(any_of["harm"]) else {}
