"""Extracts keywords and phrases from a text for the rehearsal's answers.

A content word is neither a function word nor a filler; a thing is a determiner with the words after
it, up to the next function word or verb. The lines are written so that a wrong guess still reads as
a quotation.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from backend.agents.rehearsal.vocabulary import (
    ADJECTIVES,
    COMMON_VERBS,
    DULL_NOUNS,
    FUNCTION_WORDS,
    LANGUAGES,
    PEOPLE,
    PLURALS,
    QUESTION_WORDS,
    SCRIPTS,
    TIME_ADVERBS,
    WEAK_NOUNS,
    WEAK_WORDS,
)

MAX_WORD_LENGTH = 20
"""Longer ones are taken for noise."""
MAX_PHRASE_WORDS = 3
"""Longer ones are left out, not cut."""
OTHER_LANGUAGE = "another language"

_LETTERS = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_WORD = re.compile(rf"[{_LETTERS}]+(?:['-][{_LETTERS}]+)*")
_CLAUSE_END = re.compile(r"[.,;:!?()…\n]|\s[-\u2013\u2014]+\s")
_APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'"})
_NOISE = re.compile(
    r"(.)\1\1|^[^aeiouyà-ɏ]+$|asd|sdf|dfg|ghj|hjk|jkl|qwe|zxc|xcv|cvb", re.IGNORECASE
)

_PAST = re.compile(r"[^aeiour]ed$|[^aeiou][aeiou]red$")
"""`drowned`, `entered`; at the beginning of a phrase it may be an adjective."""

# Determiners as a speaker says them to the visitor.
_TURNED = {"my": "your", "our": "your", "your": "my", "a": "that", "an": "that", "this": "that"}
_KEPT = frozenset({"the", "his", "her", "their", "every"})
_POINTING = frozenset({"the", "a", "an", "every", "that", "this"})
_POSSESSIVES = frozenset({"my", "your", "our", "his", "her", "their", "its"})
_DETERMINERS = _POINTING | _POSSESSIVES | {"these", "those"}
_MENTION = frozenset({"word", "words"})


@dataclass(frozen=True, slots=True)
class Keywords:
    """The keywords of a visitor's message, and what kind of message it is."""

    words: tuple[str, ...]
    """Content words in the order of the sentence, each once; empty if nothing can be spoken."""
    things: tuple[str, ...]
    """Noun phrases in the singular, no people, seen from the speaker: `your coat`, `the sea`."""
    is_question: bool
    language: str
    """The language, as estimated; empty for English."""
    is_silent: bool
    """Whether it has no words: signs, digits, noise."""


def extract_keywords(message: str) -> Keywords:
    """Return the keywords of a visitor's message; there may be none."""
    text = _plain(message)
    lowered = spoken_words(message)
    language = _language(text, lowered)
    words = tuple(dict.fromkeys(filter(None, map(_content_word, _words_in_case(text)))))
    things = tuple(word for word in words if word.lower() not in PEOPLE)
    nouns = tuple(
        word
        for word in things
        if not (_is_verb(word) or _is_aside(word) or word.lower() in ADJECTIVES)
    )
    return Keywords(
        words=nouns or things or words,
        things=_things(text),
        is_question="?" in text or "\uff1f" in text or not QUESTION_WORDS.isdisjoint(lowered[:1]),
        language=language,
        is_silent=not language and all(map(_is_noise, lowered)),
    )


def spoken_words(message: str) -> list[str]:
    """Return every word of a message in lower case, in order."""
    return [word.lower() for word in _WORD.findall(_plain(message))]


def _language(text: str, words: list[str]) -> str:
    """Return the language of most function words; empty for English."""
    names = [unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha()]
    if 2 * names.count("LATIN") < len(names):
        return next((SCRIPTS[script] for script in SCRIPTS if script in names), OTHER_LANGUAGE)
    elided = [word.partition("'")[0] + "'" for word in words if "'" in word]
    points = {
        language: sum(word in known for word in [*words, *elided])
        for language, known in LANGUAGES.items()
    }
    best = max(points, key=lambda language: points[language])
    english = sum(word in FUNCTION_WORDS for word in words)
    if english == points[best] == 0 and len(words) > 1 and not "".join(words).isascii():
        return OTHER_LANGUAGE
    return best if points[best] > english else ""


def phrases(
    text: str, *, possessives: Mapping[str, str], avoid: str = "", favour: str = ""
) -> tuple[str, ...]:
    """Return the noun phrases of a speaker's text that are best to quote, all equally good.

    `possessives` says how `my` and `your` are quoted; phrases with others are left out. A phrase
    that shares a word with `avoid` is worse, since it would repeat it a third time; a single word
    is better for it. One whose last word is in `favour` is better than all others.
    """
    worn = set(spoken_words(avoid)) - FUNCTION_WORDS
    shared = set(spoken_words(favour)) - FUNCTION_WORDS
    cost: dict[str, int] = {}
    for clause in _clauses(_plain(text)):
        for determiner, run in _runs(clause):
            if determiner in _POSSESSIVES and determiner not in possessives:
                continue
            last = run[-1].lower()
            if determiner in _POINTING or determiner in possessives:
                pointing = "the" if determiner == "the" else "that"
                phrase = " ".join([possessives.get(determiner, pointing), *run])
                price = 2 * _is_plural(last) + 2 * _is_verb(last)
            else:
                # Without a determiner it may be any part of speech: it is quoted as a word.
                phrase = f"the word {run[-1]}"
                price = 4 + 2 * _is_verb(last) - 2 * (last in worn)
            price -= 9 * (last in shared)
            price += 2 * (last in DULL_NOUNS) + any(word.lower() in worn for word in run)
            cost.setdefault(phrase, price)
    return tuple(phrase for phrase in cost if cost[phrase] == min(cost.values()))


def _things(text: str) -> tuple[str, ...]:
    things: dict[str, None] = {}
    for clause in _clauses(text):
        for determiner, run in _runs(clause):
            last = run[-1].lower()
            if (determiner in _KEPT or determiner in _TURNED) and not (
                last in PEOPLE or _is_plural(last)
            ):
                things[" ".join([_TURNED.get(determiner, determiner), *run])] = None
    return tuple(things)


def _runs(clause: list[str]) -> list[tuple[str, list[str]]]:
    """Return the runs of content words, each with the lower-case determiner before it or ''."""
    runs: list[tuple[str, list[str]]] = []
    before, is_open = "", False
    for word in clause:
        if word in _MENTION:
            before, is_open = "", False
            continue
        ends_phrase = word in WEAK_NOUNS and is_open and runs[-1][0] in _DETERMINERS
        if not _content_word(word) and not ends_phrase:
            before, is_open = word.lower(), False
        elif _is_aside(word):
            before, is_open = "", False
        elif is_open and not (_is_verb(word) or _is_after_noun(word, runs[-1][1][-1])):
            runs[-1][1].append(word)
            is_open = not ends_phrase
        else:
            runs.append((before, [word]))
            before, is_open = "", True
    return [
        (before, run)
        for before, run in runs
        if len(run) <= MAX_PHRASE_WORDS and not (before and run[-1].lower() in ADJECTIVES)
    ]


def _is_after_noun(word: str, before: str) -> bool:
    """Return whether `word` describes the noun before it: `the sky blue`."""
    return word.lower() in ADJECTIVES and before.lower() not in ADJECTIVES


def _is_plural(word: str) -> bool:
    return word in PLURALS or (word.endswith("s") and not word.endswith(("ss", "us", "is")))


def _content_word(word: str) -> str:
    """Return the word if it is worth taking up, else ''."""
    lowered = word.lower()
    if lowered in FUNCTION_WORDS or lowered in WEAK_WORDS:
        return ""
    return "" if len(word) < 2 or _is_noise(lowered) else word


def _is_noise(word: str) -> bool:
    """Return whether it cannot be spoken: `aaaa`, `xkcd`, a very long word."""
    return len(word) > MAX_WORD_LENGTH or _NOISE.search(word) is not None


def _words_in_case(text: str) -> list[str]:
    return [word for clause in _clauses(text) for word in clause]


def _clauses(text: str) -> list[list[str]]:
    """Return the words clause by clause; the capital of a sentence's first word is taken off."""
    clauses = []
    for clause in _CLAUSE_END.split(text):
        words = [word.lower() if word.isupper() else word for word in _WORD.findall(clause)]
        if words:
            clauses.append([words[0][0].lower() + words[0][1:], *words[1:]])
    return clauses


def _is_verb(word: str) -> bool:
    lowered = word.lower()
    stems = {lowered, lowered.removesuffix("s"), lowered.removesuffix("es")}
    stems |= {lowered.removesuffix("d"), lowered.removesuffix("ed")}
    if lowered.endswith("ing"):
        stems |= {lowered.removesuffix("ing"), lowered.removesuffix("ing") + "e"}
    return _PAST.search(lowered) is not None or not stems.isdisjoint(COMMON_VERBS)


def _is_aside(word: str) -> bool:
    """Return whether a word ends a phrase and is no part of one: `slowly`, `tomorrow`."""
    lowered = word.lower()
    return lowered in TIME_ADVERBS or (lowered.endswith("ly") and len(lowered) > len("only"))


def _plain(text: str) -> str:
    """Compose accents and straighten apostrophes."""
    return unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
