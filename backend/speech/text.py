"""Cleans a text before it is spoken.

espeak-ng is a C library: a control character 1 starts one of its commands, and stacked possessives
("s's's'...") overflow a buffer and end the process. Two hundred initials in a row ("a.b.c...")
still do, but only in the child.
"""

import re
import unicodedata

from backend.errors import SpeechError

MAX_CHARACTERS = 600
"""Longest text spoken, about 50 s; the turns cut theirs at 400, so this is a second limit."""

_MAX_INPUT_CHARACTERS = 5_000
"""Longest text read: cleaning shortens, so it is more than `MAX_CHARACTERS`."""

_MAX_REPEATS = 8
_STACKED_POSSESSIVE = re.compile(r"(?:s['\u2019\u02bc]){2,}", re.IGNORECASE)
_LONG_RUN = re.compile(r"(\D)\1{3,}")
_LONG_REPEAT = re.compile(rf"(.{{2,8}}?)\1{{{_MAX_REPEATS},}}")
_MARKUP = str.maketrans({"*": "", "`": "", "_": " ", "#": " ", "~": " "})
"""Emphasis and headings of Markdown, which an engine would read out ("asterisk asterisk")."""


def clean(text: str) -> str:
    """Return `text` as one line to be spoken, or raise SpeechError if it has no word."""
    spoken = unicodedata.normalize("NFC", text[:_MAX_INPUT_CHARACTERS])
    spoken = "".join(c for c in spoken if c.isspace() or unicodedata.category(c)[0] != "C")
    spoken = " ".join(spoken.translate(_MARKUP).split())
    spoken = _STACKED_POSSESSIVE.sub("s'", spoken)
    spoken = _LONG_RUN.sub(r"\1\1\1", spoken)
    spoken = _LONG_REPEAT.sub(lambda match: match[1] * _MAX_REPEATS, spoken)
    spoken = _cut(spoken)
    if not any(c.isalnum() for c in spoken):
        raise SpeechError(
            f"nothing in the text can be spoken ({len(text)} characters, no letter or digit left): "
            "give at least one word"
        )
    return spoken


def _cut(text: str) -> str:
    """Return the start of `text` that fits, up to the end of a word if there is one."""
    if len(text) <= MAX_CHARACTERS:
        return text
    head, space, _ = text[: MAX_CHARACTERS + 1].rpartition(" ")
    return head if space else text[:MAX_CHARACTERS]
