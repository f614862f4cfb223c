"""Adds a `slot.waves` for each utterance to its session's event log, then closes the log.

Each utterance is told once: waves that are made later, after a failure, are not told here.
"""

from dataclasses import asdict
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
from plugins.stream.session_logs import Entry, SessionLogs
from plugins.waves.signals import WavesWritten, outcomes

WAVES = "waves"
LATE = "late"
"""The reason of waves that were not there when the time limit was over."""


class SlotWavesPublisher:
    """Adds a `slot.waves` for each utterance; closes a log when its session is over."""

    def __init__(self, host: Host, logs: SessionLogs, limit_s: float) -> None:
        self._artifacts = host.artifacts
        self._logs = logs
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
                    files=tuple(
                        self._artifacts.relative(path) for one in waves.sets for path in one.files
                    ),
                    duration_s=round(waves.duration_s, 3),
                    sample_rate=waves.sample_rate,
                )
            case UtteranceMissing(missing, outcome, first=True) if missing.reason != NOT_RUNNING:
                self._add(missing.source, reason=missing.reason if outcome else LATE)
            case SessionOver():
                self._logs.close(event.session_id)

    def _add(self, source: TtsWritten, **outcome: Any) -> None:
        event = SlotWaves.model_validate(asdict(source) | outcome)
        self._logs.add(source.session_id, Entry(SLOT_WAVES, event.data()))
