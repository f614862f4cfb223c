"""The offline rehearsal: it answers a turn without a model and without a network.

What it says is validated by the same output types as a real model's answer. It reads neither the
prompt nor the slot's memory: the same seed, message and slots give the same session word for word,
however often it has been played before.

How lines are dealt. Each slot is one hand in a game of cards. A deck is shuffled by the session's
seed, the message and the deck's name, and hand n takes card n: so six slots never speak the same
line, even with the same agent in all of them, though no slot knows of another. The lengths are
dealt like this too, so every full session has a one-word answer and a three-sentence one.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from backend.agents.chance import deal
from backend.agents.cues import Cues, hear, phrases, topic_words
from backend.agents.registry import AgentProfile
from backend.agents.script import Topic, lines_of, shared
from backend.agents.turns import AnyTurn, CommentTurn, ReplyTurn, ResponseTurn

T = TypeVar("T")

# What a response consists of, one shape per slot. The shape's number is also its card in the
# topic's deck, which is why the shapes with a topic come first.
_SHAPES: tuple[tuple[str, ...], ...] = (
    ("topic", "closing"),
    ("opening", "topic"),
    ("opening", "image", "closing"),
    ("opening", "image"),
    ("opening",),
    ("short",),
)
_SHAPES_WITHOUT_TOPIC = (("opening", "closing"), ("opening", "image"), *_SHAPES[2:])
_SHAPES_WITHOUT_WORDS = (*_SHAPES_WITHOUT_TOPIC[:5], ("opening",))
# Somebody speaks of loss, fear or loneliness: no pictures and no jokes, fewer words.
_GRAVE_SHAPES = (
    ("topic",),
    ("grave", "topic", "rest"),
    ("grave", "topic"),
    ("grave", "rest"),
    ("grave",),
    ("hush",),
)

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
_DETERMINERS = ("the ", "a ", "an ", "every ", "my ", "your ")


def play(profile: AgentProfile, turn: AnyTurn) -> dict[str, object]:
    """Return the arguments of the turn's output type, in the temperament of `profile`."""
    return _Rehearsal(profile, turn).play()


class _Rehearsal:
    """One agent in one turn, with the cards it is dealt."""

    def __init__(self, profile: AgentProfile, turn: AnyTurn) -> None:
        self._lines = lines_of(profile.temperament)
        self._temperament = profile.temperament
        self._turn = turn

    def play(self) -> dict[str, object]:
        """Return the arguments of the turn's output type."""
        voice = {"voice_profile": self._deal(self._lines.voices, "voice", self._turn.kind)}
        match self._turn:
            case ResponseTurn():
                return {"text": self._response(hear(self._turn.message)), **voice}
            case CommentTurn():
                return {**self._comment(self._turn), **voice}
            case ReplyTurn():
                return {"text": self._reply(self._turn), **voice}

    def _response(self, cues: Cues) -> str:
        topic = _topic(self._turn.message, cues) if cues.words else None
        shapes = _shapes(cues, topic)
        number = self._deal(range(len(shapes)), "shape")
        parts = {deck: self._own_card(deck) for deck in ("grave", "image", "closing", "short")}
        parts["opening"] = self._opening(cues)
        parts["hush"] = self._deal(shared().hush, "hush")
        parts["rest"] = self._deal(shared().rest, "rest")
        if topic is not None:
            # All slots share this deck and few need it: the card goes by the shape's number.
            parts["topic"] = deal(topic.lines, number, *self._key, topic.name)
        return _fill(" ".join(parts[part] for part in shapes[number]), self._named(cues))

    def _comment(self, turn: CommentTurn) -> dict[str, object]:
        peers = sorted(turn.peers, key=lambda peer: peer.slot_id)
        peer = self._deal(peers, "target", turn.slot.agent_id)
        quote = self._quote(peer.text, {"my": "your"}, avoid=turn.message)
        names = {"dish": _dish(peer.slot_id), "quote": quote, "quotation": _bare(quote)}
        return {
            "target_slot_id": peer.slot_id,
            "comment": _fill(self._own_card("comment"), names),
        }

    def _reply(self, turn: ReplyTurn) -> str:
        comments = sorted(turn.comments, key=lambda comment: comment.from_slot_id)
        dishes = list(dict.fromkeys(_dish(comment.from_slot_id) for comment in comments))
        chosen = self._deal(comments, "answered")
        quote = self._quote(
            chosen.text, {"my": "your", "your": "my"}, avoid=turn.message, favour=turn.own
        )
        names = {
            "dish": _dish(chosen.from_slot_id),
            "dishes": _listed(dishes),
            "quote": quote,
            "quotation": _bare(quote),
            "own": self._quote(turn.own, {"my": "my"}, avoid=f"{turn.message} {quote}"),
        }
        return _fill(self._own_card("reply_one" if len(dishes) == 1 else "reply_many"), names)

    def _opening(self, cues: Cues) -> str:
        if cues.words:
            return self._own_card("question" if cues.is_question else "statement")
        openings = shared().openings
        if cues.is_silent:
            return self._deal(openings.silent, "silent")
        if cues.is_foreign:
            return self._deal(openings.unread, "unread")
        bare = openings.bare_question if cues.is_question else openings.bare_statement
        return self._deal(bare, "bare")

    def _named(self, cues: Cues) -> dict[str, str]:
        if not cues.words:
            return {}
        word = self._deal(cues.words, "word")
        things = cues.things or (f"the word {word}",)
        return {"word": word, "thing": self._deal(things, "thing")}

    def _quote(
        self, text: str, possessives: Mapping[str, str], *, avoid: str, favour: str = ""
    ) -> str:
        """Return a few words out of `text`; there is always something to point at."""
        found = phrases(text, possessives=possessives, avoid=avoid, favour=favour)
        return self._deal(found, "quote") if found else "that"

    @property
    def _key(self) -> tuple[object, ...]:
        return (self._turn.seed, self._turn.message)

    def _own_card(self, deck: str) -> str:
        cards: Sequence[str] = getattr(self._lines, deck)
        return self._deal(cards, self._temperament, deck)

    def _deal(self, cards: Sequence[T], *deck: object) -> T:
        return deal(cards, self._turn.slot.slot_id - 1, *self._key, *deck)


def _topic(message: str, cues: Cues) -> Topic | None:
    """Return the topic that most words of the message point to, a grave one before all others."""
    topics = shared().topic
    if cues.is_foreign:
        return next(topic for topic in topics if topic.name == "foreign")
    spoken = topic_words(message)
    best = max(
        topics, key=lambda t: (t.grave and bool(t.keywords & spoken), len(t.keywords & spoken))
    )
    return best if best.keywords & spoken else None


def _shapes(cues: Cues, topic: Topic | None) -> tuple[tuple[str, ...], ...]:
    if not cues.words:
        return _SHAPES_WITHOUT_WORDS
    if topic is None:
        return _SHAPES_WITHOUT_TOPIC
    return _GRAVE_SHAPES if topic.grave else _SHAPES


def _fill(line: str, names: Mapping[str, str]) -> str:
    capitals = {name.capitalize(): text[:1].upper() + text[1:] for name, text in names.items()}
    return line.format(**names, **capitals)


def _dish(slot_id: int) -> str:
    number = _NUMBERS[slot_id] if 0 <= slot_id < len(_NUMBERS) else str(slot_id)
    return f"dish {number}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _bare(quote: str) -> str:
    """Return `quote` without its determiner, to stand after a possessive."""
    for determiner in _DETERMINERS:
        if quote.startswith(determiner):
            return quote.removeprefix(determiner)
    return quote
