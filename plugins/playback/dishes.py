"""The channels of the sound card and what each plays: built in, or as `dishes.toml` says.

[[channel]]                               # the first output of the card; the next is the second
name = "dish 1"
plays = ["slot 1", "slot 2 wave 1 at -6 dB"]   # V3; or "slot 1 faraday", "slot 1 speech"
level_db = -20
cap_db = -12
notch = [{hz = 24, db = 12, width = 6}]
polarity = -1
delay_ms = 0
"""

import re
from dataclasses import asdict
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from backend.errors import SettingsError
from backend.plugins import line_of, read_toml

V3: Final = "v3"
SPEECH: Final = "speech"
MAX_CHANNELS: Final = 64
MOST_DB: Final = 12
"""Of a source over the level of its channel."""
_WAVES: Final = {V3: 3, SPEECH: 1}
_SOURCE = re.compile(
    r"slot ([1-6])(?: (?!wave )([\w-]+))?(?: wave ([1-9]\d?))?(?: at ([+-]?\d+(?:\.\d+)?) dB)?"
)
_CONFIG = ConfigDict(extra="forbid")


class Source(NamedTuple):
    """One or all waves of a profile in a slot, or its speech, at a level."""

    slot_id: int
    profile: str
    wave: int
    """From 1; 0: each."""
    db: float

    def __str__(self) -> str:
        """Return it as `dishes.toml` has it."""
        profile = "" if self.profile == V3 else f" {self.profile}"
        wave = f" wave {self.wave}" if self.wave else ""
        return f"slot {self.slot_id}{profile}{wave}" + (f" at {self.db:+g} dB" if self.db else "")


def _source(text: object) -> Source:
    if isinstance(text, Source):
        return text
    match = _SOURCE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            'must be like "slot 1 wave 2", "slot 1 faraday", "slot 1 speech at -6 dB", slots 1 to 6'
        )
    slot, profile, wave, db = match.groups()
    source = Source(int(slot), profile or V3, int(wave or 0), float(db or 0))
    waves = _waves(source.profile, source.slot_id)
    if source.wave not in {0, *waves} or not waves:
        known = ", ".join(map(str, sorted(waves))) or "none"
        raise ValueError(f"the waves of {source.profile} in slot {slot} are: {known}")
    if source.db > MOST_DB:
        raise ValueError(f"must be at most +{MOST_DB} dB")
    return source


@cache
def _waves(profile: str, slot_id: int) -> set[int]:
    """Return the numbers of the waves of a profile that are ever played in a slot."""
    if profile in _WAVES:
        return set(range(1, _WAVES[profile] + 1))
    points = {one.name: one for one in entry_points(group="reflective_resonance.profiles")}
    if profile not in points:
        known = ", ".join(sorted({*_WAVES, *points}))
        raise ValueError(f"no profile {profile!r}: there are {known}")
    try:
        targets = {speaker: points[profile].load().targets(speaker) for speaker in range(7)}
    except Exception as error:
        raise ValueError(f"the profile {profile!r} cannot be loaded: {error!r}") from error
    return {
        wave
        for speaker, slots in targets.items()  # 0: the summary, which is in all slots
        for wave, slot in enumerate(slots, start=1)
        if (slot or speaker) in {0, slot_id}  # 0: made for any slot
    }


def _number(low: float, high: float) -> BeforeValidator:
    def check(value: object) -> object:
        if type(value) not in {int, float} or not low <= float(str(value)) <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return value

    return BeforeValidator(check)


@dataclass(frozen=True, config=_CONFIG)
class Notch:
    """What a channel takes away around a frequency; below 0 dB it adds."""

    hz: Annotated[float, _number(2, 2000)]
    db: Annotated[float, _number(-6, 60)]
    width: Annotated[float, _number(0.1, 300)]
    """Hertz between the points where a deep notch has -3 dB."""

    def __post_init__(self) -> None:
        if self.width > 1.9 * self.hz:
            raise ValueError(f"width must be at most 1.9 times hz, {1.9 * self.hz:g}")


@dataclass(frozen=True, config=_CONFIG)
class Channel:
    """One output of the sound card."""

    name: Annotated[str, Field(strict=True)]
    plays: tuple[Annotated[Source, BeforeValidator(_source)], ...] = ()
    level_db: Annotated[float, _number(-80, 24)] = -20
    cap_db: Annotated[float, _number(-80, 0)] = -12
    notch: tuple[Notch, ...] = ()
    polarity: Literal[1, -1] = 1
    delay_ms: Annotated[float, _number(0, 1000)] = 0

    @property
    def cap(self) -> float:
        """The largest absolute sample, full scale being 1."""
        return factor(self.cap_db)

    def table(self) -> dict[str, Any]:
        """Return every key of its table in `dishes.toml`, its sources as that has them."""
        notch = [asdict(one) for one in self.notch]
        return {**asdict(self), "plays": [*map(str, self.plays)], "notch": notch}


@dataclass(frozen=True, config=_CONFIG)
class Dishes:
    """Every channel, in the order of the card's outputs."""

    channels: Annotated[tuple[Channel, ...], Field(alias="channel")]

    def __post_init__(self) -> None:
        if not 1 <= len(self.channels) <= MAX_CHANNELS:
            raise ValueError(f"must be there 1 to {MAX_CHANNELS} times")

    def number(self, asked: int | str) -> int:
        """Return the number of a channel, from 1, by that or by its name; 0 if there is none."""
        each = list(enumerate(self.channels, start=1))
        named = [number for number, one in each if one.name == asked]
        return (named or [number for number, _ in each if asked in {number, str(number)}] or [0])[0]

    def gains(self, slot_id: int, profile: str, wave: int) -> tuple[tuple[int, float], ...]:
        """Return the channels that play a wave, counted from 0, each with its signed factor."""
        found: dict[int, float] = {}
        for index, channel in enumerate(self.channels):
            for one in channel.plays:
                if one[:2] == (slot_id, profile) and one.wave in {0, wave}:
                    gain = channel.polarity * factor(channel.level_db + one.db)
                    found[index] = found.get(index, 0) + gain
        return tuple(found.items())


BUILT_IN: Final = Dishes(tuple(Channel(f"dish {n}", (Source(n, V3, 0, 0),)) for n in range(1, 7)))
"""Six dishes at the first six outputs."""


def factor(db: float) -> float:
    """Return the factor of a level in dB."""
    return float(10 ** (db / 20))


def load_dishes(path: Path | None) -> Dishes:
    """Return what the file at `path` says, the built-in channels without one.

    Raises
    ------
    SettingsError
        If it cannot be read or is wrong; a line for each wrong entry.
    """
    if path is None:
        return BUILT_IN
    tables, text = read_toml(path, "RR_PLAYBACK_DISHES")
    try:
        dishes = TypeAdapter(Dishes).validate_python(tables)
    except ValidationError as error:
        problems = [f"{path}, line {_words(one, text)}" for one in error.errors()]
        raise SettingsError("\n".join(problems)) from error
    names = [one.name for one in dishes.channels]
    for number, name in enumerate(names, start=1):
        if name.isdecimal() or name in names[: number - 1]:
            line = line_of(text, "[channel]", "name", number)
            words = f"[[channel]] {number} name = {name!r}: each must have a name of its own"
            more = ", not a number, which is that of a channel" if name.isdecimal() else ""
            raise SettingsError(f"{path}, line {line}: {words}{more}")
    return dishes


_WORDS: Final = {
    "missing": "this is missing",
    "unexpected_keyword_argument": "there is no such key",
    "tuple_type": "must be a list",
    "string_type": "must be a text",
    "dataclass_type": "must be a table",
}


def _words(problem: Any, text: str) -> str:
    """Return the line of a wrong entry, where that is, its value, and what it may be."""
    loc: tuple[Any, ...] = problem["loc"]
    table, number, key = (*loc, *("channel", 0, "")[len(loc) :])[:3]
    where = [f"[[{table}]]", *(one + 1 if type(one) is int else one for one in loc[1:])]
    said = _WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    said = said.replace("Input should", "must")
    line = line_of(text, f"[{table}]", str(key), number + 1)
    if loc and problem["type"] != "missing":  # else the value is the table that lacks it
        where.append(f"= {problem['input']!r}")
    return f"{line}: {' '.join(map(str, where))}: {said}"
