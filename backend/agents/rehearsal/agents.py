"""The offline rehearsal: answers a turn from written lines, without a model and a network.

The same seed, message and slots give the same session word for word. Each list of lines is shuffled
by the seed, the message and the list's name, and slot n takes line n: so six slots never speak the
same line, even with one agent in all of them. Lengths are chosen in the same way, so every full
session has a one-word answer and a three-sentence one.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from backend.agents.chance import pick_distinct
from backend.agents.registry import AgentProfile
from backend.agents.rehearsal.keywords import Keywords, extract_keywords, phrases
from backend.agents.rehearsal.manners import manner_of, topic_of
from backend.agents.rehearsal.script import Manner, Topic, lines_of, manners, shared
from backend.agents.turns import AnyTurn, CommentTurn, ReplyTurn, ResponseTurn, SummaryTurn
from backend.speech import VoiceProfile

T = TypeVar("T")

# The parts of a response, one shape per slot. A shape's number is also the place of its line among
# the topic's lines, so the shapes with a topic come first.
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

_VOICES: tuple[VoiceProfile, ...] = (
    "calm_soothing",
    "warm_professional",
    "confident_charming",
    "friendly_casual",
    "playful_expressive",
    "energetic_upbeat",
)
"""The profile of each slot, the same in all turns."""

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
_DETERMINERS = ("the ", "that ", "my ", "your ")


def play(profile: AgentProfile, turn: AnyTurn) -> dict[str, object]:
    """Return the arguments of the turn's output type, in the temperament of `profile`."""
    return _Rehearsal(profile, turn).play()


class _Rehearsal:
    """One agent in one turn."""

    def __init__(self, profile: AgentProfile, turn: AnyTurn) -> None:
        self._lines = lines_of(profile.temperament)
        self._temperament = profile.temperament
        self._turn = turn
        self._manner: Manner | None
        self._manner, self._names = manner_of(turn.message) or (None, {})

    def play(self) -> dict[str, object]:
        """Return the arguments of the turn's output type."""
        slot_id = self._turn.slot.slot_id or 1
        voice = {"voice_profile": _VOICES[(slot_id - 1) % len(_VOICES)]}
        match self._turn:
            case ResponseTurn():
                return {"text": self._response(), **voice}
            case CommentTurn():
                return {**self._comment(self._turn), **voice}
            case ReplyTurn():
                return {"text": self._reply(self._turn), **voice}
            case SummaryTurn():
                return {"text": self._summary(self._turn), **voice}

    def _response(self) -> str:
        if self._manner is not None:
            return self._pick(self._said(self._manner), self._manner.name, "response")[0]
        keywords = extract_keywords(self._turn.message)
        topic = topic_of(self._turn.message) if keywords.words else None
        shapes = _shapes(keywords, topic)
        number = self._pick(range(len(shapes)), "shape")
        parts = {name: self._own_line(name) for name in ("image", "closing", "short")}
        parts["opening"] = self._opening(keywords)
        if topic is not None:
            # All slots share these lines and few need one: the shape's number is the place.
            parts["topic"] = pick_distinct(topic.lines, number, *self._key, topic.name)
        return _fill(" ".join(parts[part] for part in shapes[number]), self._named(keywords))

    def _comment(self, turn: CommentTurn) -> dict[str, object]:
        peers = sorted(turn.peers, key=lambda peer: peer.slot_id)
        peer = self._pick(peers, "target", turn.slot.agent_id)
        if self._manner is not None:
            names = {"dish": _dish(peer.slot_id), "gist": self._gist(self._manner, peer.text)}
            line = self._pick(self._manner.comment, self._manner.name, "comment")
            return {"target_slot_id": peer.slot_id, "comment": _fill(line, names | self._names)}
        quote = self._quote(peer.text, {"my": "your"}, avoid=turn.message)
        names = {"dish": _dish(peer.slot_id), "quote": quote, "quotation": _bare(quote)}
        return {
            "target_slot_id": peer.slot_id,
            "comment": _fill(self._own_line("comment"), names),
        }

    def _reply(self, turn: ReplyTurn) -> str:
        comments = sorted(turn.comments, key=lambda comment: comment.slot_id)
        dishes = list(dict.fromkeys(_dish(comment.slot_id) for comment in comments))
        if self._manner is not None:
            names = {"dishes": _listed(dishes), "gist": self._gist(self._manner, turn.own)}
            line = self._pick(self._manner.reply, self._manner.name, "reply")
            return _fill(line, names | self._names)
        chosen = self._pick(comments, "answered")
        quote = self._quote(turn.own, {"my": "my"}, avoid=turn.message, favour=chosen.text)
        names = {
            "dish": _dish(chosen.slot_id),
            "dishes": _listed(dishes),
            "quote": quote,
            "quotation": _bare(quote),
        }
        return _fill(self._own_line("reply_one" if len(dishes) == 1 else "reply_many"), names)

    def _summary(self, turn: SummaryTurn) -> str:
        """Sum up two of the responses."""
        responses = [one for one in turn.said if one.kind == "response"]
        chosen = [pick_distinct(responses, place, *self._key, "summed") for place in (0, 1)]
        chosen = sorted(set(chosen), key=lambda one: one.slot_id)
        if self._manner is not None:
            said = [
                f"{_dish(one.slot_id)} said {self._gist(self._manner, one.text)}" for one in chosen
            ]
            line = self._pick(manners().summary, "summary")
            return _fill(line, {"sayings": _listed(said)} | self._names)
        found = {
            one.slot_id: self._quote(one.text, {"your": "your"}, avoid=turn.message)
            for one in chosen
        }
        quotes = {slot_id: quote for slot_id, quote in found.items() if quote != "that"} or found
        names = {
            "dishes": _listed([_dish(slot_id) for slot_id in quotes]),
            "quotes": _listed(list(dict.fromkeys(quotes.values()))),
        }
        return _fill(f"{self._own_line('summary')} {self._own_line('closing')}", names)

    def _opening(self, keywords: Keywords) -> str:
        if keywords.words:
            return self._own_line("question" if keywords.is_question else "statement")
        openings = shared().openings
        bare = openings.bare_question if keywords.is_question else openings.bare_statement
        return self._pick(bare, "bare")

    def _named(self, keywords: Keywords) -> dict[str, str]:
        if not keywords.words:
            return {}
        word = self._pick(keywords.words, "word")
        things = keywords.things or (f"the word {word}",)
        return {"word": word, "thing": self._pick(things, "thing")}

    def _quote(
        self, text: str, possessives: Mapping[str, str], *, avoid: str, favour: str = ""
    ) -> str:
        """Return a few words out of `text`, or "that"."""
        found = phrases(text, possessives=possessives, avoid=avoid, favour=favour)
        return self._pick(found, "quote") if found else "that"

    def _said(self, manner: Manner) -> list[tuple[str, str]]:
        """Return the responses that the message allows, each with its gist."""
        return [
            (_fill(line, self._names), _fill(gist, self._names))
            for line, gist in manner.response
            if "erson}" not in line or "person" in self._names
        ]

    def _gist(self, manner: Manner, text: str) -> str:
        return dict(self._said(manner)).get(text, "what can be said")

    @property
    def _key(self) -> tuple[object, ...]:
        return (self._turn.seed, self._turn.message)

    def _own_line(self, name: str) -> str:
        lines: Sequence[str] = getattr(self._lines, name)
        return self._pick(lines, self._temperament, name)

    def _pick(self, items: Sequence[T], *name: object) -> T:
        return pick_distinct(items, self._turn.slot.slot_id - 1, *self._key, *name)


def _shapes(keywords: Keywords, topic: Topic | None) -> tuple[tuple[str, ...], ...]:
    if not keywords.words:
        return _SHAPES_WITHOUT_WORDS
    return _SHAPES if topic is not None else _SHAPES_WITHOUT_TOPIC


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
