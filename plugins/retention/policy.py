"""Which sessions go, and why: pure functions of what is stored, the limits and the time.

    waves   over a limit of the waves  -> the waves go, and the session's speech with them
    speech  over a limit of the speech -> the speech goes, the waves stay

Speech never outlives its waves: the waves plugin makes waves for every recording without them, so
waves that went alone would come back. What is held does not go; it counts all the same, for what it
takes up is taken. A limit is exact: a session of just that age, or that fits just so, stays.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal

from plugins.retention.settings import RetentionSettings

MB = 10**6
MINUTE_S, HOUR_S = 60.0, 3600.0

Tree = Literal["tts", "waves"]
Why = Literal["age", "number", "size", "waves"]
"""Older than the time to live, not among the newest, the oldest of too much, or speech whose waves
go."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one session has in one tree."""

    session_id: str
    size: int
    """Bytes."""
    written_at_s: float
    """When its newest file was written, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one tree; 0 is none."""

    ttl_s: float = 0.0
    max_bytes: int = 0
    keep_last: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of both trees."""

    tts: Limits = Limits()
    waves: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Removal:
    """One session that goes from one tree."""

    session_id: str
    tree: Tree
    size: int
    age_s: float
    why: Why


def policy_of(settings: RetentionSettings) -> Policy:
    """Return the limits that the settings set."""
    return Policy(
        tts=Limits(
            settings.tts_ttl_min * MINUTE_S, int(settings.tts_max_mb * MB), settings.tts_keep_last
        ),
        waves=Limits(
            settings.waves_ttl_h * HOUR_S, int(settings.waves_max_mb * MB), settings.waves_keep_last
        ),
    )


def plan(
    speech: Iterable[Stored],
    waves: Iterable[Stored],
    policy: Policy,
    held: Container[str],
    now_s: float,
) -> list[Removal]:
    """Return what goes, oldest first, a session's speech right before its waves."""
    speech, waves = list(speech), list(waves)
    waves_going = choose(waves, policy.waves, held, now_s)
    why: dict[tuple[Tree, str], Why] = {("waves", name): it for name, it in waves_going.items()}
    why |= {("tts", item.session_id): "waves" for item in speech if item.session_id in waves_going}
    rest = [item for item in speech if item.session_id not in waves_going]
    why |= {("tts", name): it for name, it in choose(rest, policy.tts, held, now_s).items()}

    trees: tuple[tuple[Tree, list[Stored]], ...] = (("tts", speech), ("waves", waves))
    going = [
        (item, Removal(item.session_id, tree, item.size, _age_s(item, now_s), reason))
        for tree, stored in trees
        for item in stored
        if (reason := why.get((tree, item.session_id))) is not None
    ]
    oldest: dict[str, float] = {}
    for item, _ in going:
        known = oldest.get(item.session_id, item.written_at_s)
        oldest[item.session_id] = min(known, item.written_at_s)
    going.sort(key=lambda pair: (oldest[pair[0].session_id], pair[0].session_id, pair[1].tree))
    return [removal for _, removal in going]


def choose(
    stored: Iterable[Stored], limits: Limits, held: Container[str], now_s: float
) -> dict[str, Why]:
    """Return which sessions of one tree go, each with the first reason that applies."""
    newest_first = sorted(stored, key=_recency, reverse=True)
    going: dict[str, Why] = {}
    for place, item in enumerate(newest_first):
        if item.session_id in held:
            continue
        if limits.ttl_s and _age_s(item, now_s) > limits.ttl_s:
            going[item.session_id] = "age"
        elif limits.keep_last and place >= limits.keep_last:
            going[item.session_id] = "number"
    if limits.max_bytes:
        staying = [item for item in newest_first if item.session_id not in going]
        total = sum(item.size for item in staying)
        for item in reversed(staying):
            if total <= limits.max_bytes:
                break
            if item.session_id not in held:
                going[item.session_id] = "size"
                total -= item.size
    return going


def _recency(item: Stored) -> tuple[float, str]:
    return item.written_at_s, item.session_id


def _age_s(item: Stored, now_s: float) -> float:
    return max(0.0, now_s - item.written_at_s)
