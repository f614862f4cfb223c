import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.agents.truncation import truncate

WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1, max_size=60)
SEPARATORS = st.sampled_from([" ", ". ", ", ", " - ", "! ", "; "])


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("One ring. Two rings.", 20, "One ring. Two rings."),
        ("One ring. Two rings.", 19, "One ring."),
        ("  padded  ", 6, "padded"),
        ("Oh. The long middle of a sentence goes on", 21, "Oh. The long middle"),
        ("One ring, two rings and three", 10, "One ring"),
        ("One ring - two", 11, "One ring"),
        ("one ring two", 8, "one ring"),
        ("Version 1.5 of it is new and long", 16, "Version 1.5 of"),
        ("uninterrupted", 5, "unint"),
        ('He said "stop." Then more words came', 20, 'He said "stop."'),
        ("水は聞く。石は待つ。山", 10, "水は聞く。石は待つ。"),
    ],
)
def test_cuts_at_a_sentence_end_else_a_word_end(text: str, limit: int, expected: str) -> None:
    """The cut falls on the last sentence end within the limit, else on the last word end."""
    assert expected == truncate(text, limit)


@given(st.text(max_size=300), st.integers(1, 200))
def test_never_exceeds_the_limit_and_is_a_prefix(text: str, limit: int) -> None:
    """Whatever the text, the result is a prefix of it within the limit, stable when cut again."""
    cut = truncate(text, limit)

    assert len(cut) <= limit
    assert text.strip().startswith(cut)
    assert cut == truncate(cut, limit)
    assert cut or not text.strip()


@given(WORDS, SEPARATORS, st.integers(13, 120))
def test_never_breaks_a_word_that_fits(words: list[str], separator: str, limit: int) -> None:
    """Every word of the result is a word of the text, and no comma or dash dangles at its end."""
    text = separator.join(words)

    cut = truncate(text, limit)

    assert set(cut.replace(separator.strip() or " ", " ").split()) <= set(words)
    assert cut[-1] not in ",;-" or cut == text


@given(WORDS, st.integers(13, 120))
def test_a_late_sentence_end_is_kept(words: list[str], limit: int) -> None:
    """A cut text ends with a stop whenever one lies in the last two thirds of the limit."""
    text = ". ".join(words) + "."

    cut = truncate(text, limit)

    if "." in text[limit // 3 + 1 : limit]:
        assert cut.endswith(".")
