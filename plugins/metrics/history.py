"""The last hour, minute by minute: how long agents, speech and waves took, what waited and failed.

    slot.start --agent--> slot.done --speech--> slot.audio, tts_written --waves--> waves_written

A receiver adds one number, on the event loop. Percentiles are computed when somebody asks.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from time import monotonic, time
from typing import Any

from backend.signals import EventPublished, event_published
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed, waves_written

MINUTES = 60
MAX_VALUES = 1_000
"""Of one span in one minute, the latest: some hundred sessions."""
FAILED, STARTED = "slot.error", "slot.start"
SPANS = {"slot.done": "agent_ms", "slot.audio": "speech_ms"}
"""The span that an event of a slot ends."""
NAMES = ("agent_ms", "speech_ms", "waves_ms")


def _values() -> dict[str, deque[float]]:
    return {name: deque(maxlen=MAX_VALUES) for name in NAMES}


@dataclass(slots=True)
class _Minute:
    spans: dict[str, deque[float]] = field(default_factory=_values)
    queued: int = 0
    failed: int = 0


class History:
    """The minutes; `queued` returns how many utterances wait for their waves.

    Use it on one event loop.
    """

    def __init__(self, queued: Callable[[], int], clock: Callable[[], float] = time) -> None:
        self._queued = queued
        self._clock = clock
        self._minutes: dict[int, _Minute] = {self._now(): _Minute()}
        self._running: dict[str, dict[tuple[int, int], float]] = {}
        """For each session, when its slots' spans began, by turn and slot."""

    @property
    def sessions_running(self) -> int:
        """The number of sessions between their first and their last event."""
        return len(self._running)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Receive signals while the block runs."""
        with ExitStack() as stack:
            for signal, receiver in (
                (event_published, self._on_event),
                (waves_written, self._on_waves_written),
                (waves_failed, self._on_waves_failed),
            ):
                stack.enter_context(signal.connected_to(receiver))
            yield

    def hour(self) -> list[dict[str, Any]]:
        """Return an entry a minute since the start, at most `MINUTES`; the last one is not over."""
        minute, now = self._minute(), self._now()
        minute.queued = max(minute.queued, self._queued())
        first = max(min(self._minutes), now - MINUTES + 1)
        return [_entry(at, self._minutes.get(at, _Minute())) for at in range(first, now + 1)]

    def _now(self) -> int:
        return int(self._clock() // 60)

    def _minute(self) -> _Minute:
        """Return the present minute; the oldest is forgotten if there are too many."""
        minute = self._minutes.setdefault(self._now(), _Minute())
        while len(self._minutes) > MINUTES:
            del self._minutes[next(iter(self._minutes))]
        return minute

    def _on_event(self, _: object, *, event: EventPublished) -> None:
        if event.name == "session.start":
            self._running[event.session_id] = {}
        elif event.name == "done":
            self._running.pop(event.session_id, None)
        elif event.name in SPANS or event.name in {STARTED, FAILED}:
            self._on_slot(event.name, json.loads(event.data))

    def _on_slot(self, name: str, slot: dict[str, Any]) -> None:
        began = self._running.get(slot["sessionId"], {})
        key = slot["turnIndex"], slot["slotId"]
        now, before = monotonic(), began.get(key)
        if name == FAILED:
            self._minute().failed += 1
        elif name in SPANS and before is not None:
            self._minute().spans[SPANS[name]].append((now - before) * 1000)
        began[key] = now

    def _on_waves_written(self, _: object, *, event: WavesWritten) -> None:
        if not event.backfill:
            self._count_queue().spans["waves_ms"].append(event.queued_ms + event.running_ms)

    def _on_waves_failed(self, _: object, *, event: WavesFailed) -> None:  # noqa: ARG002 - blinker's
        self._count_queue().failed += 1

    def _count_queue(self) -> _Minute:
        minute = self._minute()
        minute.queued = max(minute.queued, self._queued())
        return minute


def _entry(at: int, minute: _Minute) -> dict[str, Any]:
    spans = {name: _percentiles(sorted(values)) for name, values in minute.spans.items()}
    moment = datetime.fromtimestamp(at * 60, UTC)
    return {"at": moment, **spans, "queued": minute.queued, "failed": minute.failed}


def _percentiles(ordered: list[float]) -> dict[str, float | int | None]:
    def nearest(share: float) -> float | None:
        return round(ordered[ceil(share * len(ordered)) - 1], 1) if ordered else None

    return {"p50": nearest(0.5), "p95": nearest(0.95), "n": len(ordered)}
