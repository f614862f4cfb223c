"""Puts what became of each utterance's waves into the session's journal, and closes that.

Every utterance is told of once. One whose waves were refused and are made up for later has been
told of as failed: who needs those waves listens to `waves_written`.
"""

from typing import Any

from backend.plugins import Host
from backend.signals import TtsWritten, WorkFailed
from backend.tracking import Outcome, Settling
from plugins.stream.events import SLOT_WAVES, SlotWaves
from plugins.stream.journals import Journals
from plugins.waves.signals import WavesWritten, outcomes

WAVES = "waves"
LATE = "late"
"""The reason of waves that were not there when the time limit was over."""


class Water(Settling):
    """Adds a `slot.waves` for every utterance; ends a journal when its session has settled."""

    def __init__(self, host: Host, journals: Journals, limit_s: float) -> None:
        super().__init__(outcomes, lambda: host.board.runs(WAVES), limit_s)
        self._artifacts = host.artifacts
        self._journals = journals

    def ended(self, outcome: Outcome) -> None:
        """Tell of the waves, or why there are none."""
        if isinstance(outcome, WorkFailed):
            self._add(outcome.source, reason=outcome.reason)
        elif isinstance(outcome, WavesWritten):
            self._add(
                outcome.source,
                files=tuple(self._artifacts.relative(path) for path in outcome.files),
                duration_s=round(outcome.duration_s, 3),
                sample_rate=outcome.sample_rate,
            )

    def settled(self, session_id: str, missing: tuple[TtsWritten, ...]) -> None:
        """Tell what is late and end the journal."""
        for source in missing:
            self._add(source, reason=LATE)
        journal = self._journals.find(session_id)
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
