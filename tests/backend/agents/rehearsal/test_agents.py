import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.agents import Agents, Registry, Said, Slot
from backend.agents.outputs import COMMENT_LIMIT, SPOKEN_LIMIT
from backend.agents.registry import Temperament
from backend.agents.rehearsal.manners import manner_of
from backend.agents.rehearsal.script import SixLines, lines_of, manners, shared
from backend.errors import AgentError

NUMBERS = ("one", "two", "three", "four", "five", "six")
Play = Callable[..., Awaitable[Any]]

MESSAGES = [
    "I miss the sea in winter.",
    "Why do we dream about flying?",
    "Are you alive?",
    "who are you",
    "My daughter leaves for university tomorrow and the house will be quiet.",
    "hello",
    "I had a cup of coffee on the train.",
    "Ich vermisse das Meer im Winter",
    "こんにちは",
    "!!!",
]
PLACEHOLDERS = {
    *("word", "thing", "person", "language"),
    *("quote", "quotation", "gist", "dish", "dishes", "quotes", "sayings"),
}
SPEAKABLE = re.compile(r"[A-Za-zÀ-ɏ .,?!'-]+")


def all_lines() -> list[str]:
    """Return every line that can be spoken in a rehearsal."""
    decks = [lines_of(temperament).model_dump() for temperament in temperaments()]
    lines = [line for deck in decks for cards in deck.values() for line in cards]
    script = shared()
    lines += [line for cards in script.openings.model_dump().values() for line in cards]
    lines += [line for topic in script.topic for line in topic.lines]
    for manner in manners().manner:
        lines += [*(line for line, _ in manner.response), *manner.comment, *manner.reply]
    return [*lines, *manners().summary]


def temperaments() -> tuple[Temperament, ...]:
    """Return the six temperaments."""
    return get_args(Temperament)


def sentences(texts: list[str]) -> list[str]:
    """Return the sentences of some texts."""
    return [part for text in texts for part in re.split(r"(?<=[.?!]) ", text)]


def test_every_line_is_written_once_and_can_be_spoken() -> None:
    """No line stands in two decks, each ends with a stop, and espeak can read every sign of it."""
    lines = all_lines()

    assert [line for line, count in Counter(lines).items() if count > 1] == []
    for line in lines:
        used = set(re.findall(r"\{(\w+)\}", line))
        assert {name.lower() for name in used} <= PLACEHOLDERS, line
        assert line[-1] in ".?!", line
        assert SPEAKABLE.fullmatch(re.sub(r"\{\w+\}", "x", line)), line


def written(lines: list[str]) -> list[re.Pattern[str]]:
    """Return one pattern per sentence of `lines`, with any words in its gaps."""
    return [
        re.compile(r"[\w' ]+".join(re.escape(part) for part in re.split(r"\{\w+\}", sentence)))
        for sentence in sentences(lines)
    ]


@pytest.mark.parametrize("message", MESSAGES)
async def test_same_seed_is_the_same_session_in_any_order(message: str, play_session: Play) -> None:
    """A session repeats word for word, also when its slots begin the other way round."""
    first = await play_session(message, seed=7)

    assert first == await play_session(message, seed=7)
    assert sorted(first.texts()) == sorted(
        (await play_session(message, seed=7, backwards=True)).texts()
    )


async def test_memory_does_not_change_a_rehearsal(play_session: Play) -> None:
    """The second session of the evening is the same as the first, given the same seed."""
    agents = Agents(Registry())
    first = await play_session("Hello there", seed=3, agents=agents)

    assert first == await play_session("Hello there", seed=3, agents=agents)


async def test_seeds_and_messages_make_a_difference(play_session: Play) -> None:
    """Another seed, or another message under the same seed, is another session."""
    sessions = [await play_session(MESSAGES[0], seed=seed) for seed in range(10)]
    texts = {tuple(session.texts()) for session in sessions}
    other = await play_session(MESSAGES[6], seed=0)

    assert len(texts) == 10
    assert not set(sentences(other.texts())) & set(sentences(sessions[0].texts()))


@pytest.mark.e2e
@pytest.mark.parametrize("agent_ids", [Registry().ids, ("gpt-4o",) * 6], ids=["six", "one"])
async def test_no_sentence_is_said_twice_in_a_session(
    agent_ids: tuple[str, ...], play_session: Play
) -> None:
    """Over 50 seeds, six slots never repeat a sentence, even with one agent in all of them."""
    for seed in range(50):
        session = await play_session(MESSAGES[seed % 10], seed=seed, agent_ids=agent_ids)
        said = sentences(session.texts())

        assert [text for text, count in Counter(said).items() if count > 1] == []


@pytest.mark.parametrize("message", MESSAGES)
async def test_a_summary_takes_up_two_responses(message: str, play_session: Play) -> None:
    """It names two dishes, in two or three sentences, and has words of what they said."""
    for seed in range(10):
        session = await play_session(message, seed=seed)
        numbers = re.findall(r"[Dd]ish (one|two|three|four|five|six)", session.summary.text)
        places = [NUMBERS.index(number) + 1 for number in numbers]

        assert 1 <= len(set(places)) == len(places) <= 2
        assert places == sorted(places)
        assert 2 <= len(sentences([session.summary.text])) <= 3
        if manner_of(message) is None:
            heard = re.findall(r"\w+", session.summary.text.lower())
            for place in places:
                said = re.findall(r"\w+", session.responses[place].text.lower())
                assert set(said) & set(heard) - {"dish", "the", "that", "and", "word"}


async def test_one_slot_is_summed_up_too() -> None:
    """The summary of a single response names its dish alone; of nothing there is none."""
    agents = Agents(Registry())
    slot = Slot(0, "gpt-4o")
    said = [Said(3, "response", "The kettle sings.")]

    summary = await agents.summarize(slot, "Hello there", said, seed=1)

    assert ["three"] == re.findall(r"[Dd]ish (\w+)", summary.text)
    assert "the kettle" in summary.text.lower()
    with pytest.raises(AgentError, match="nothing to sum up"):
        await agents.summarize(slot, "Hello there", [], seed=1)


async def test_a_session_has_short_and_long_answers_and_six_voices(play_session: Play) -> None:
    """Each session has a short answer, one of two sentences, and a voice for each slot."""
    for seed in range(30):
        session = await play_session(MESSAGES[seed % 7], seed=seed)
        texts = [spoken.text for spoken in session.responses.values()]

        assert len({spoken.voice_profile for spoken in session.responses.values()}) == 6
        assert max(len(sentences([text])) for text in texts) >= 2
        assert max(len(sentences([text])) for text in texts) <= 4
        assert min(len(text.split()) for text in texts) <= 11


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("I miss the sea in winter.", {"sea", "winter"}),
        ("Where did I put my umbrella?", {"umbrella"}),
        ("I baked bread with my neighbour", {"bread"}),
    ],
)
async def test_responses_take_up_the_visitors_words(
    message: str, words: set[str], play_session: Play
) -> None:
    """At least half of the six answers hold a word of the visitor's."""
    for seed in range(20):
        session = await play_session(message, seed=seed)
        answers = [set(re.findall(r"\w+", s.text.lower())) for s in session.responses.values()]

        assert sum(bool(answer & words) for answer in answers) >= 3


@pytest.mark.parametrize(
    ("message", "own", "other"),
    [("The umbrella?", "question", "statement"), ("The umbrella.", "statement", "question")],
)
async def test_a_question_is_answered_otherwise_than_a_statement(
    message: str, own: str, other: str, play_session: Play
) -> None:
    """Openings come from the deck that suits the message, and never from the other one."""
    fitting, unfitting = (
        written([line for t in temperaments() for line in getattr(lines_of(t), deck)])
        for deck in (own, other)
    )

    for seed in range(5):
        session = await play_session(message, seed=seed)
        said = sentences([spoken.text for spoken in session.responses.values()])

        assert [text for text in said if any(p.fullmatch(text) for p in unfitting)] == []
        assert sum(any(p.fullmatch(text) for p in fitting) for text in said) >= 3


async def test_comments_and_replies_name_and_quote_each_other(play_session: Play) -> None:
    """A comment names its target's dish and holds words of it; a reply names a commenter's."""
    numbers = ["", "one", "two", "three", "four", "five", "six"]
    for seed in range(30):
        session = await play_session(MESSAGES[seed % 7], seed=seed)
        for slot_id, selection in session.comments.items():
            target = selection.target_slot_id
            theirs = set(re.findall(r"\w{2,}", session.responses[target].text.lower()))
            mine = set(re.findall(r"\w{2,}", selection.comment.lower()))

            assert target != slot_id
            assert f"dish {numbers[target]}" in selection.comment.lower()
            assert {word for word in mine & theirs if len(word) > 2}
        for slot_id, spoken in session.replies.items():
            from_ids = [k for k, s in session.comments.items() if s.target_slot_id == slot_id]
            if "dish" in spoken.text.lower():
                assert any(f"dish {numbers[n]}" in spoken.text.lower() for n in from_ids)


@pytest.mark.parametrize("temperament", temperaments())
def test_every_comment_and_reply_has_a_place_for_the_other(temperament: Temperament) -> None:
    """A comment names a dish and quotes it; a reply names the dish and quotes somebody."""
    lines = lines_of(temperament)

    for line in lines.comment:
        assert re.search(r"\{dish\}", line, re.IGNORECASE), line
        assert re.search(r"\{quot(e|ation)\}", line, re.IGNORECASE), line
    for line in lines.reply_one:
        assert re.search(r"\{dish\}", line, re.IGNORECASE), line
    for line in lines.reply_many:
        assert re.search(r"\{dishes\}", line, re.IGNORECASE), line
    for line in (*lines.reply_one, *lines.reply_many):
        assert re.search(r"\{quot(e|ation)\}", line, re.IGNORECASE), line
    for line in (*lines.statement, *lines.question, *lines.short):
        assert re.search(r"\{(word|thing)\}", line, re.IGNORECASE), line


@settings(max_examples=60, deadline=None)
@given(message=st.text(min_size=1, max_size=2000), seed=st.integers(0, 9))
async def test_any_message_gets_a_session_that_can_be_spoken(message: str, seed: int) -> None:
    """Symbols, other scripts and two thousand characters all get answers, within the limits."""
    agents = Agents(Registry())
    spoken = await agents.respond(Slot(5, "gpt-4o"), message, seed=seed)

    assert SPEAKABLE.fullmatch(spoken.text), spoken.text
    assert len(spoken.text) <= SPOKEN_LIMIT


async def test_a_comment_on_anything_stays_within_the_limit() -> None:
    """Peers that are no rehearsal, in any script and length, get whole comments and replies."""
    agents = Agents(Registry())

    for text in ["水", "...", "Yes", "a" * 400, "The most incomprehensible circumnavigation. " * 9]:
        for slot_id, agent_id in enumerate(Registry().ids, start=1):
            slot = Slot(slot_id, agent_id)
            selection = await agents.comment(
                slot, "Hi", "Mine.", [Said(9, "response", text)], seed=1
            )
            received = [Said(2, "comment", text), Said(9, "comment", text)]
            reply = await agents.reply(slot, "Hi", text, received, seed=1)

            assert len(selection.comment) <= COMMENT_LIMIT
            assert selection.comment[-1] in ".?!"
            assert SPEAKABLE.fullmatch(reply.text.replace("9", "")), reply.text


def test_a_list_has_a_line_for_each_of_six_slots() -> None:
    """With at least six lines in a list no two of six slots speak the same one."""
    assert min(len(lines_of(t).comment) for t in temperaments()) >= 6
    assert (
        "min_length=6" in repr(get_args(SixLines)[1])
        or get_args(SixLines)[1].metadata[0].min_length == 6
    )
