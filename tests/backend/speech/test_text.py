"""Cleaning of texts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import SpeechError
from backend.speech.text import MAX_CHARACTERS, clean


@pytest.mark.parametrize(
    "text",
    [
        "The water remembers you.",
        "It's James's boss's boats' wake... isn't it?",
        "Call 10000000 at 3.50, née Zoë — “quoted”!",
        "la la la la la",
    ],
)
def test_plain_text_is_kept(text: str) -> None:
    """Ordinary sentences are spoken as they are written."""
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("cafe\u0301", "caf\u00e9", id="NFC"),
        pytest.param("a\x00b\x01c\x1bd\x7fe\x9b", "abcde", id="control"),
        pytest.param("a\u200db\ufeffc\u202ed\u2066e", "abcde", id="format and direction"),
        pytest.param("a\ue000b\U000f0000c\U0010fffdd", "abcd", id="private"),
        pytest.param("a\ud800b\udfffc", "abc", id="surrogate"),
        pytest.param(" a\t\r\n b\u2028c\u00a0\x85d ", "a b c d", id="space"),
        pytest.param("**so** _it_ is `a` # b", "so it is a b", id="markup"),
        pytest.param("s'" * 80, "s'", id="possessives"),
        pytest.param("bos" + "S\u2019s'" * 40 + "t", "boss't", id="mixed possessives"),
        pytest.param("so" + "o" * 500 + "!!!!!!", "sooo!!!", id="run"),
        pytest.param("ha" * 100, "ha" * 8, id="repeat"),
        pytest.param("a" + "\u0301" * 300, "\u00e1\u0301\u0301\u0301", id="stacked accents"),
    ],
)
def test_unspeakable_parts_are_dropped(text: str, expected: str) -> None:
    """What cannot be spoken or would harm the engine is dropped; the words around it stay."""
    assert clean(text) == expected


def test_a_long_text_ends_with_a_word() -> None:
    """A long text is cut after the last whole word that fits."""
    text = " ".join(f"word{i}" for i in range(200))

    spoken = clean(text)

    assert MAX_CHARACTERS - len("word100 ") < len(spoken) <= MAX_CHARACTERS
    assert text.startswith(spoken + " ")


def test_a_text_that_just_fits_is_whole() -> None:
    """A text of exactly the limit is spoken whole, also when more follows."""
    text = "".join(chr(0x4E00 + i) for i in range(MAX_CHARACTERS))

    assert clean(text) == text
    assert clean(text + " more") == text


def test_a_word_that_ends_at_the_limit_stays() -> None:
    """The last word that fits is spoken, though the next one is cut off."""
    text = " ".join(chr(0x4E00 + i) * 2 for i in range(201))

    assert clean(text + " more") == text[: MAX_CHARACTERS - 1]
    assert clean("x" + text + " more") == "x" + text[: MAX_CHARACTERS - 1]


def test_one_endless_word_is_cut_anyway() -> None:
    """A single word longer than the limit is cut at the limit."""
    assert len(clean("".join(chr(0x4E00 + i) for i in range(5_000)))) == MAX_CHARACTERS


@pytest.mark.parametrize(
    "text", ["", " \n", "?!…", "🌊🌊🌊", "\x00\x01", "\ud800", "** __ **", "\ue000", "\u202e"]
)
def test_nothing_speakable(text: str) -> None:
    """A text without a letter or digit is refused with its length and without a word of it."""
    with pytest.raises(SpeechError) as caught:
        clean(text)

    message = str(caught.value)
    assert f"({len(text)} characters" in message
    assert message.isascii()


@given(st.text(st.characters(), max_size=2_000) | st.text("sS'\u2019a. \u0301", max_size=2_000))
def test_any_text(text: str) -> None:
    """Whatever comes in, what goes out is short, clean and encodable, or a SpeechError."""
    try:
        spoken = clean(text)
    except SpeechError:
        return

    assert 0 < len(spoken) <= MAX_CHARACTERS
    assert not any(unicodedata.category(c).startswith("C") for c in spoken)
    assert "s's'" not in spoken.lower().replace("\u2019", "'")
    assert spoken.encode()
