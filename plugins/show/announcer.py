"""Turns events of tracked sessions into messages: paths, URLs, figures of the waves, play order."""

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Any

import structlog

from backend.errors import ArtifactError
from backend.signals import TtsWritten, WorkDone
from backend.storage import Artifacts
from backend.tracking import (
    DialogueOver,
    Missing,
    SessionExpected,
    SessionOver,
    TrackedEvent,
    TurnOver,
    UtteranceDone,
    UtteranceMissing,
)
from plugins.mood.signals import MoodRead
from plugins.show import messages, original
from plugins.show.hub import Hub
from plugins.show.messages import Absent, Cue, ProfileWave, Status, Utterance, Wave
from plugins.waves.signals import WaveSet, WavesWritten

log = structlog.get_logger(__name__)

REMEMBERED = 512
"""Utterances whose figures are kept for the groups they belong to; some 28 sessions."""
UNREADABLE = "unreadable"
COMPLETE: Status = "complete"
PARTIAL: Status = "partial"


class Announcer:
    """Publishes what happens; a thread looks for the files, so events are awaited in order.

    Parameters
    ----------
    hub : Hub
        Where messages go.
    artifacts : Artifacts
        The artifacts root, which URLs are relative to.
    """

    def __init__(self, hub: Hub, artifacts: Artifacts) -> None:
        self._hub = hub
        self._artifacts = artifacts
        self._known: OrderedDict[Path, Utterance] = OrderedDict()

    async def announce(self, event: TrackedEvent | MoodRead) -> None:
        """Publish the messages of an event."""
        utterances: list[Utterance] = []
        match event:
            case SessionExpected():
                median_ms = None if event.median_s is None else round(event.median_s * 1000)
                session_id = event.session_id
                payload: messages.Payload = messages.SessionExpected(
                    slots=list(event.slot_ids), turns=event.turns, median_ready_ms=median_ms
                )
            case UtteranceDone():
                session_id = event.outcome.source.session_id
                payload = await self._ready(event)
            case UtteranceMissing():
                session_id = event.missing.source.session_id
                payload = self._failed(event.missing, event.outcome)
            case TurnOver():
                session_id = event.session_id
                utterances, missing = await self._group(event)
                payload = messages.TurnReady(
                    turn_index=event.turn_index,
                    status=_status(missing),
                    utterances=utterances,
                    missing=missing,
                )
            case DialogueOver():
                session_id = event.session_id
                utterances, missing = await self._group(event)
                payload = _dialogue(event, utterances, missing)
            case SessionOver():
                session_id = event.session_id
                payload = _session(*await self._group(event))
            case MoodRead():
                session_id = event.session_id
                payload = messages.UserSentiment(
                    sentiment=event.sentiment, justification=event.reason
                )
        earlier = original.message(event, utterances, self._artifacts.root)
        self._hub.publish(session_id, payload, original=earlier)

    async def _ready(self, event: UtteranceDone) -> messages.Payload:
        self._known.pop(event.outcome.source.wav_path, None)  # it may have more waves now
        try:
            utterance = await self._utterance(event.outcome)
        except (OSError, ValueError, ArtifactError) as error:
            log.warning("the waves cannot be read", error=str(error))
            missing = Missing(event.outcome.source, UNREADABLE, "the waves cannot be read")
            return self._failed(missing, event.outcome)
        return messages.UtteranceReady(
            **dict(utterance),
            ready_ms=None if event.waited_s is None else round(event.waited_s * 1000),
            backfill=_is_backfill(event.outcome),
        )

    def _failed(self, missing: Missing, outcome: object) -> messages.UtteranceFailed:
        return messages.UtteranceFailed(
            **self._voice(missing.source),
            reason=missing.reason,
            message=missing.message,
            backfill=_is_backfill(outcome),
        )

    async def _group(
        self, event: TurnOver | DialogueOver | SessionOver
    ) -> tuple[list[Utterance], list[Absent]]:
        utterances, missing = [], list(event.missing)
        for outcome in event.done:
            try:
                utterances.append(await self._utterance(outcome))
            except (OSError, ValueError, ArtifactError):
                missing.append(Missing(outcome.source, UNREADABLE, ""))
        absent = [
            Absent(turn_index=m.source.turn_index, slot_id=m.source.slot_id, reason=m.reason)
            for m in sorted(missing, key=lambda m: (m.source.turn_index, m.source.slot_id))
        ]
        return utterances, absent

    async def _utterance(self, outcome: WorkDone) -> Utterance:
        """Return an utterance with its waves; looked at once, then remembered for its groups."""
        assert isinstance(outcome, WavesWritten)  # noqa: S101 - the only outcome that is tracked
        key = outcome.source.wav_path
        known = self._known.get(key)
        if known is None:
            await asyncio.to_thread(_check_there, outcome.files)
            first, *others = outcome.sets
            waves = [Wave(**one) for one in self._waves(outcome, first)]
            more = [
                ProfileWave(**wave, profile=one.profile, target_slot_id=target or None)
                for one in others
                for wave, target in zip(self._waves(outcome, one), one.target_slot_ids, strict=True)
            ]
            known = Utterance(
                **self._voice(outcome.source),
                duration_ms=waves[0].duration_ms,
                waves=waves,
                profile_waves=more,
            )
            self._known[key] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _waves(self, outcome: WavesWritten, made: WaveSet) -> list[dict[str, Any]]:
        each = zip(made.files, made.peaks, made.rms, strict=True)
        return [
            {
                "wave": number,
                "path": str(path),
                "url": self._url(self._artifacts.relative(path)),
                "duration_ms": round(outcome.frames * 1000 / outcome.sample_rate),
                "sample_rate": outcome.sample_rate,
                "frames": outcome.frames,
                "peak": peak,
                "rms": rms,
            }
            for number, (path, peak, rms) in enumerate(each, start=1)
        ]

    def _voice(self, source: TtsWritten) -> dict[str, Any]:
        return {
            "turn_index": source.turn_index,
            "kind": source.kind,
            "slot_id": source.slot_id,
            "target_slot_id": source.target_slot_id,
            "agent_id": source.agent_id,
            "voice_profile": source.voice_profile,
            "audio_path": str(source.wav_path),
            "audio_url": self._url(source.audio_path),
        }

    def _url(self, relative: str) -> str:
        return f"{self._hub.base_url}/v1/audio/{relative}"


def _check_there(files: tuple[Path, ...]) -> None:
    """Raise OSError if a file was removed since it was announced."""
    for file in files:
        file.stat()


def _is_backfill(outcome: object) -> bool:
    """Tell whether an outcome was made up for later: `WavesWritten` and `WavesFailed` know."""
    return bool(getattr(outcome, "backfill", False))


def _status(missing: list[Absent]) -> Status:
    return PARTIAL if missing else COMPLETE


def _dialogue(
    event: DialogueOver, utterances: list[Utterance], missing: list[Absent]
) -> messages.DialogueReady:
    return messages.DialogueReady(
        slot_id=event.slot_id,
        commenters=[u.slot_id for u in utterances if u.kind == "comment"],
        status=_status(missing),
        utterances=utterances,
        missing=missing,
    )


def _session(utterances: list[Utterance], missing: list[Absent]) -> messages.SessionReady:
    timeline, offset_ms = [], 0
    for utterance in utterances:
        timeline.append(Cue(**dict(utterance), offset_ms=offset_ms))
        offset_ms += utterance.duration_ms
    return messages.SessionReady(
        status=_status(missing), duration_ms=offset_ms, timeline=timeline, missing=missing
    )
