import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.agents.cues import hear, phrases

TO_YOU = {"my": "your"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("I miss the sea in winter.", ("sea", "winter")),
        ("What does it mean to be brave?", ("brave",)),
        ("Anna left Berlin.", ("anna", "Berlin")),
        ("HELLO OUT THERE", ("hello",)),
        ("Do you dream?", ("dream",)),
        ("I don\u2019t trust clocks", ("trust", "clocks")),
        ("who are you", ()),
        ("!!! ???", ()),
        ("12345", ()),
        ("aaaaaaaaaaaaaa", ()),
        ("xkcd", ()),
        ("\U0001f30a", ()),
        ("こんにちは", ()),
    ],
)
def test_hears_the_words_worth_taking_up(message: str, words: tuple[str, ...]) -> None:
    """Content words come in the order of the sentence, without grammar, filler and noise."""
    assert words == hear(message).words


@pytest.mark.parametrize(
    ("message", "things"),
    [
        ("My grandmother sang to me.", ("your grandmother",)),
        ("I found a red bicycle in the canal", ("that red bicycle", "the canal")),
        ("Is your water cold?", ("my water cold",)),
        ("The house will be quiet.", ("the house",)),
        ("Nothing here", ()),
    ],
)
def test_hears_things_from_the_speakers_side(message: str, things: tuple[str, ...]) -> None:
    """A visitor's `my` is the speaker's `your`."""
    assert things == hear(message).things


@pytest.mark.parametrize(
    ("message", "is_question"),
    [
        ("Are you alive?", True),
        ("why is it dark", True),
        ("It is dark.", False),
        ("なぜ\uff1f", True),
    ],
)
def test_tells_a_question(message: str, is_question: bool) -> None:
    """A question has its mark or begins like one: recognised speech often has no mark."""
    assert is_question == hear(message).is_question


@pytest.mark.parametrize(
    ("message", "is_foreign", "is_silent"),
    [
        ("Ich vermisse das Meer im Winter", True, False),
        ("¿Qué recuerda el agua?", True, False),
        ("こんにちは", True, False),
        ("I die a little", False, False),
        ("Waves break on black rocks", False, False),
        ("...", False, True),
        ("42", False, True),
        ("you", False, False),
    ],
)
def test_tells_what_it_cannot_read(message: str, is_foreign: bool, is_silent: bool) -> None:
    """Another language is not silence, and silence is not another language."""
    cues = hear(message)

    assert (is_foreign, is_silent) == (cues.is_foreign, cues.is_silent)


def test_quotes_phrases_with_an_article_before_single_words() -> None:
    """The most telling piece of a text is a noun with its article."""
    assert phrases("One drop climbed the wrong side.", possessives=TO_YOU) == ("the wrong side",)
    assert phrases("Kettle on.", possessives=TO_YOU) == ("the word kettle",)
    assert phrases("So, so.", possessives=TO_YOU) == ()


def test_quotes_a_possessive_from_the_other_side() -> None:
    """What a peer calls mine is yours to the one who speaks to it; others' are left out."""
    assert phrases("My corner, your grandmother.", possessives=TO_YOU) == ("your corner",)


def test_quotes_worn_words_last() -> None:
    """A phrase that the visitor brought gives way to one that the peer found."""
    text = "The sea is under the lamp."

    assert phrases(text, possessives=TO_YOU, avoid="I miss the sea") == ("the lamp",)
    assert phrases("The sea.", possessives=TO_YOU, avoid="I miss the sea") == ("the sea",)


@given(st.text(max_size=2000))
def test_nothing_a_visitor_can_say_breaks_it(message: str) -> None:
    """Any text at all is heard, and every word heard can be spoken."""
    cues = hear(message)

    assert all(word.replace("'", "").replace("-", "").isalpha() for word in cues.words)
    assert all(len(word) <= 20 for word in cues.words)
    phrases(message, possessives=TO_YOU)
