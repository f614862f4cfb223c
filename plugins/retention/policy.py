"""Choose the sessions to remove, by what is stored, the limits and the time.

    waves   over a limit of the waves  -> the waves are removed, and the session's speech with them
    speech  over a limit of the speech -> the speech is removed, the waves are kept
    heard   a visitor's recording goes with the speech of its session; one of which there is no
            speech has the limits of the speech

Speech is never kept without its waves, or the waves plugin would make them again. A session in use
is not removed, but it counts. A session exactly at a limit is kept.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal

from backend.storage import Tree
from plugins.retention.settings import RetentionSettings

MB = 10**6
MINUTE_S, HOUR_S = 60.0, 3600.0

Why = Literal["age", "number", "size", "waves", "speech"]
"""Older than the limit, not among the newest, the oldest of too many bytes, speech whose waves are
removed, or a recording whose speech is removed."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one session has in one tree."""

    session_id: str
    size: int
    """Bytes."""
    written_at_s: float
    """When its newest file was written, in seconds since 1970."""
    heard_id: str | None = None
    """Of speech: the id of the recording that began its session."""


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
    """One session to remove from one tree."""

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
    heard: Iterable[Stored] = (),
) -> list[Removal]:
    """Return what is to be removed, oldest session first, its speech right before its waves."""
    speech, waves, heard = list(speech), list(waves), list(heard)
    waves_why = choose(waves, policy.waves, held, now_s)
    rest = [item for item in speech if item.session_id not in waves_why]
    speech_why: dict[str, Why] = dict.fromkeys(waves_why, "waves")
    speech_why |= choose(rest, policy.tts, held, now_s)
    kept = {item.heard_id for item in speech if item.session_id not in speech_why}
    spoken = {item.heard_id for item in speech}
    alone = [item for item in heard if item.session_id not in spoken]
    heard_why: dict[str, Why] = dict.fromkeys((one for one in spoken - kept if one), "speech")
    heard_why |= choose(alone, policy.tts, held, now_s)

    trees: tuple[tuple[Tree, list[Stored], dict[str, Why]], ...] = (
        ("tts", speech, speech_why),
        ("waves", waves, waves_why),
        ("stt", heard, heard_why),
    )
    going = [
        Removal(item.session_id, tree, item.size, _age_s(item, now_s), why[item.session_id])
        for tree, stored, why in trees
        for item in stored
        if item.session_id in why
    ]
    going.sort(key=lambda removal: removal.age_s)
    age_s = {removal.session_id: removal.age_s for removal in going}  # of the older of the two
    return sorted(
        going, key=lambda removal: (-age_s[removal.session_id], removal.session_id, removal.tree)
    )


def choose(
    stored: Iterable[Stored], limits: Limits, held: Container[str], now_s: float
) -> dict[str, Why]:
    """Return the sessions of one tree to remove, each with the first reason that applies."""
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
