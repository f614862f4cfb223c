"""Adds a `slot.waves` for each utterance to the session's journal, and closes the journal.

Each utterance is told once: waves that are made later, after a failure, are not told here. There is
no `EventQueue`: adding an event to a list is all the work there is.
"""

from typing import Any

from backend.plugins import Host
from backend.signals import TtsWritten
from backend.tracking import (
    NOT_RUNNING,
    SessionOver,
    SessionTracker,
    TrackedEvent,
    UtteranceDone,
    UtteranceMissing,
)
from plugins.stream.events import SLOT_WAVES, SlotWaves
from plugins.stream.journals import Journals
from plugins.waves.signals import WavesWritten, outcomes

WAVES = "waves"
LATE = "late"
"""The reason of waves that were not there when the time limit was over."""


class SlotWavesPublisher:
    """Adds a `slot.waves` for each utterance; closes a journal when its session is over."""

    def __init__(self, host: Host, journals: Journals, limit_s: float) -> None:
        self._artifacts = host.artifacts
        self._journals = journals
        self.tracker = SessionTracker(
            outcomes,
            self._publish,
            available=lambda: host.board.runs(WAVES),
            end_limit_s=limit_s,
        )

    def _publish(self, event: TrackedEvent) -> None:
        match event:
            case UtteranceDone(WavesWritten() as waves, first=True):
                self._add(
                    waves.source,
                    files=tuple(self._artifacts.relative(path) for path in waves.files),
                    duration_s=round(waves.duration_s, 3),
                    sample_rate=waves.sample_rate,
                )
            case UtteranceMissing(missing, outcome, first=True) if missing.reason != NOT_RUNNING:
                self._add(missing.source, reason=missing.reason if outcome else LATE)
            case SessionOver():
                journal = self._journals.find(event.session_id)
                if journal is not None:
                    journal.close()

    def _add(self, source: TtsWritten, **outcome: Any) -> None:
        journal = self._journals.find(source.session_id)
        if journal is None:
            return
        event = SlotWaves(
            session_id=source.session_id,
            turn_index=source.turn_index,
            kind=source.kind,
            slot_id=source.slot_id,
            agent_id=source.agent_id,
            target_slot_id=source.target_slot_id,
            audio_path=source.audio_path,
            **outcome,
        )
        journal.append(SLOT_WAVES, event.data())
