"""The dialect of the earlier version: its messages, made from tracked events, and its envelope.

    {"type": "turn1.waves.ready", "sessionId": "20261122T180405Z-1f2e3d4c", "seq": 1,
     "ts": "2026-11-22T18:04:09.120Z", "payload": {...}}

`seq` counts these messages alone. Nothing else is sent but `hello.ack`, which has no envelope. An
utterance plays the two waves of the profile `slots`, or waves 1 and 2 of V3, in its own slot and in
the next one. The summary plays in all slots at once: six waves, or each with one of V3's three.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import PurePath
from typing import Any, ClassVar, Literal

from backend.tracking import DialogueOver, TrackedEvent, TurnOver
from plugins.mood.signals import MoodRead
from plugins.show.messages import (
    HelloAck,
    Message,
    Payload,
    Status,
    UserSentiment,
    Utterance,
    Wave,
)

SLOTS = 6
SERVER = "reflective-resonance"


class Slot(Payload):
    """An utterance with the two waves that are played, and where."""

    slot_id: int
    agent_id: str
    voice_profile: str
    wave1_path_abs: str
    wave1_path_rel: str
    wave1_target_slot_id: int
    wave2_path_abs: str
    wave2_path_rel: str
    wave2_target_slot_id: int
    duration_ms: int


class Turn1Ready(Payload):
    """The responses, which are played slot after slot."""

    type: ClassVar[str] = "turn1.waves.ready"

    turn_index: int = 1
    status: Status
    slots_expected: int
    slots_ready: int
    slots: list[Slot]
    missing_slot_ids: list[int]


class Part(Payload):
    """One place in the order of a dialogue."""

    role: Literal["commenter", "respondent"]
    slot_id: int


class DialogueReady(Payload):
    """The comments on a slot and its reply."""

    type: ClassVar[str] = "dialogue.waves.ready"

    dialogue_id: str
    turns: tuple[int, int] = (2, 3)
    target_slot_id: int
    commenters: list[Slot]
    respondent: Slot
    play_order: list[Part]


class SummaryWave(Payload):
    """The wave of the summary in one slot."""

    slot_id: int
    wave_path_abs: str
    wave_path_rel: str
    duration_ms: int


class WaveInfo(Payload):
    """The waves of the summary, one for each slot."""

    voice_profile: str
    waves: list[SummaryWave]


class SummaryReady(Payload):
    """The summary, which is played after the last dialogue."""

    type: ClassVar[str] = "final_summary.ready"

    status: Literal["complete", "failed"]
    text: str
    wave_info: WaveInfo | None


def message(
    event: TrackedEvent | MoodRead, utterances: Sequence[Utterance], root: PurePath
) -> Payload | None:
    """Return the message of an event and its utterances that have waves; None if it has none."""
    match event:
        case MoodRead():
            return UserSentiment(sentiment=event.sentiment, justification=event.reason)
        case TurnOver(turn_index=1):
            ready = [one.slot_id for one in utterances]
            missing = sorted(set(event.slot_ids) - set(ready))
            return Turn1Ready(
                status="partial" if missing else "complete",
                slots_expected=len(ready) + len(missing),
                slots_ready=len(ready),
                slots=[_slot(one, root) for one in utterances],
                missing_slot_ids=missing,
            )
        case DialogueOver() if any(one.kind == "reply" for one in utterances):
            return _dialogue([_slot(one, root) for one in utterances])
        case TurnOver(turn_index=4):
            return _summary(event, utterances, root)
        case _:
            return None


def write(payload: Message, session_id: str | None, seq: int | None, _: int, ts: str) -> Any:
    """Return what is sent of a payload; None if it is not known to the clients."""
    if session_id is not None:
        return {
            "type": payload.type,
            "sessionId": session_id,
            "seq": seq,
            "ts": ts,
            "payload": payload.data(),
        }
    if isinstance(payload, HelloAck):
        return {"type": payload.type, "server": SERVER, "version": version(SERVER)}
    return None


def _slot(utterance: Utterance, root: PurePath) -> Slot:
    slot_id = utterance.slot_id
    (first, target), (second, next_target) = _played(utterance, (slot_id, slot_id % SLOTS + 1))
    return Slot(
        slot_id=slot_id,
        agent_id=utterance.agent_id,
        voice_profile=utterance.voice_profile,
        wave1_path_abs=first.path,
        wave1_path_rel=_relative(first.path, root),
        wave1_target_slot_id=target,
        wave2_path_abs=second.path,
        wave2_path_rel=_relative(second.path, root),
        wave2_target_slot_id=next_target,
        duration_ms=utterance.duration_ms,
    )


def _played(utterance: Utterance, slot_ids: Sequence[int]) -> list[tuple[Wave, int]]:
    """Return a wave for each slot: those of the profile `slots` if there are, else those of V3."""
    made = [wave for wave in utterance.profile_waves if wave.profile == "slots"]
    return list(zip(made or 2 * utterance.waves, slot_ids, strict=False))


def _dialogue(slots: Sequence[Slot]) -> DialogueReady:
    *commenters, respondent = slots
    order = [Part(role="commenter", slot_id=one.slot_id) for one in commenters]
    return DialogueReady(
        dialogue_id=f"turn23-slot{respondent.slot_id}",
        target_slot_id=respondent.slot_id,
        commenters=commenters,
        respondent=respondent,
        play_order=[*order, Part(role="respondent", slot_id=respondent.slot_id)],
    )


def _summary(event: TurnOver, utterances: Sequence[Utterance], root: PurePath) -> SummaryReady:
    sources = [one.source for one in event.done] + [one.source for one in event.missing]
    text = "".join(source.text for source in sources)
    if not utterances:
        return SummaryReady(status="failed", text=text, wave_info=None)
    (utterance,) = utterances
    waves = [
        SummaryWave(
            slot_id=slot_id,
            wave_path_abs=wave.path,
            wave_path_rel=_relative(wave.path, root),
            duration_ms=wave.duration_ms,
        )
        for wave, slot_id in _played(utterance, range(1, SLOTS + 1))
    ]
    info = WaveInfo(voice_profile=utterance.voice_profile, waves=waves)
    return SummaryReady(status="complete", text=text, wave_info=info)


def _relative(path: str, root: PurePath) -> str:
    return type(root)(path).relative_to(root).as_posix()
