"""Cuts a text where it can still be spoken."""

import re

MIN_SENTENCE_SHARE = 1 / 3
"""Before this share of the limit a sentence's end loses too much: a word's end is taken."""

# A stop with its closing quotes, then white space; the full-width stops of Chinese and Japanese
# (U+3002, U+FF01, U+FF1F) need none.
_SENTENCE_END = re.compile(
    r"[.!?\u2026]+[\"'\u2019\u201d)\]]*(?=\s|$)|[\u3002\uff01\uff1f]+[\u300d\u300f]*"
)
_LAST_WORD = re.compile(r"(?:^|\s)\S*\Z")
_DANGLING = " \t\r\n,;:-\u2013\u2014([{<\u00ab\u201c\u2018\"'&/+*_"


def truncate(text: str, limit: int) -> str:
    """Return `text`, stripped, in at most `limit` characters.

    Too long a text ends at its last whole sentence, else at its last whole word without a dangling
    comma or dash; a word is broken only if it is longer than the limit itself.
    """
    text = text.strip()
    if len(text) <= limit:
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text) if match.end() <= limit]
    if ends and ends[-1] >= limit * MIN_SENTENCE_SHARE:
        return text[: ends[-1]]
    head = text[:limit]
    if not text[limit].isspace() and (words := _LAST_WORD.sub("", head)):
        head = words
    return _without_dangling(head) or head.rstrip()


def _without_dangling(text: str) -> str:
    """Return `text` without the marks, and white space of any kind, that nothing follows."""
    while (trimmed := text.rstrip().rstrip(_DANGLING)) != text:
        text = trimmed
    return text
