import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.agents.rehearsal.keywords import extract_keywords, phrases

TO_YOU = {"my": "your"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("I miss the sea in winter.", ("sea", "winter")),
        ("What does it mean to be brave?", ("brave",)),
        ("Anna left Berlin.", ("anna", "Berlin")),
        ("HELLO OUT THERE", ("hello",)),
        ("My grandmother taught me to swim", ("taught", "swim")),
        ("Grandmother?", ("grandmother",)),
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
def test_keywords_are_extracted(message: str, words: tuple[str, ...]) -> None:
    """Content words come in the order of the sentence, without grammar, filler and noise."""
    assert words == extract_keywords(message).words


@pytest.mark.parametrize(
    ("message", "things"),
    [
        ("My kettle sang to me.", ("your kettle",)),
        ("My grandmother sang to me.", ()),
        ("My shoes are wet", ()),
        ("My brother drowned last year", ()),
        ("I sold my small old wooden sailing boat", ()),
        ("Why is the sky blue?", ("the sky",)),
        ("I found a red bicycle in the canal", ("that red bicycle", "the canal")),
        ("Is your water cold?", ("my water",)),
        ("The house will be quiet.", ("the house",)),
        ("Nothing here", ()),
    ],
)
def test_things_are_named_as_the_speaker_says_them(message: str, things: tuple[str, ...]) -> None:
    """A visitor's `my` is the speaker's `your`; people, several things and parts are left out."""
    assert things == extract_keywords(message).things


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
    assert is_question == extract_keywords(message).is_question


@pytest.mark.parametrize(
    ("message", "language", "is_silent"),
    [
        ("Ich vermisse das Meer im Winter", "German", False),
        ("Die Katze schläft", "German", False),
        ("Je t\u2019aime", "French", False),
        ("Jag älskar dig", "another language", False),
        ("Amélie", "", False),
        ("Ha!", "", False),
        ("Red hat", "", False),
        ("Rubbish bin, white van", "", False),
        ("Ich bin müde", "German", False),
        ("¿Qué recuerda el agua?", "Spanish", False),
        ("Quiero saber qué recuerda el mar", "Spanish", False),
        ("Mi manca il mare d'inverno", "Italian", False),
        ("Tenho saudades do mar", "Portuguese", False),
        ("Ik mis de zee in de winter", "Dutch", False),
        ("こんにちは", "Japanese", False),
        ("水は何を覚えていますか", "Japanese", False),
        ("水记得什么", "Chinese", False),
        ("물은 무엇을 기억하나요?", "Korean", False),
        ("\u0398\u03ac\u03bb\u03b1\u03c3\u03c3\u03b1", "Greek", False),
        ("Что помнит вода?", "another language", False),
        ("ماذا يتذكر الماء؟", "another language", False),
        ("I die a little", "", False),
        ("Waves break on black rocks", "", False),
        ("My fiancé made a jalapeño soufflé", "", False),
        ("I said bonjour to the sea", "", False),
        ("...", "", True),
        ("42", "", True),
        ("asdf qwertz sdfg", "", True),
        ("you", "", False),
    ],
)
def test_tells_what_it_cannot_read(message: str, language: str, is_silent: bool) -> None:
    """Another language is not silence, and silence is not another language."""
    keywords = extract_keywords(message)

    assert (language, is_silent) == (keywords.language, keywords.is_silent)


def test_quotes_phrases_with_an_article_before_single_words() -> None:
    """The most telling piece of a text is a noun with its article."""
    assert phrases("One drop climbed the wrong side.", possessives=TO_YOU) == ("the wrong side",)
    assert phrases("Kettle on.", possessives=TO_YOU) == ("the word kettle",)
    assert phrases("So, so.", possessives=TO_YOU) == ()


def test_quotes_a_possessive_from_the_other_side() -> None:
    """What a peer calls mine is yours to the one who speaks to it; others' are left out."""
    assert phrases("My corner, your grandmother.", possessives=TO_YOU) == ("your corner",)


def test_quotes_what_another_speaker_took_up() -> None:
    """A phrase whose noun is in the other's text is quoted before all others."""
    text = "My lamp hums over a slow river."

    assert phrases(text, possessives={"my": "my"}, favour="That river?") == ("that slow river",)
    assert phrases(text, possessives={"my": "my"}, favour="Your lamp?") == ("my lamp",)


def test_quotes_worn_words_last() -> None:
    """A phrase that the visitor brought gives way to one that the peer found."""
    text = "The sea is under the lamp."

    assert phrases(text, possessives=TO_YOU, avoid="I miss the sea") == ("the lamp",)
    assert phrases("The sea.", possessives=TO_YOU, avoid="I miss the sea") == ("the sea",)


@given(st.text(max_size=2000))
def test_nothing_a_visitor_can_say_breaks_it(message: str) -> None:
    """Any text has keywords or none, and every keyword can be spoken."""
    keywords = extract_keywords(message)

    assert all(word.replace("'", "").replace("-", "").isalpha() for word in keywords.words)
    assert all(len(word) <= 20 for word in keywords.words)
    phrases(message, possessives=TO_YOU)
