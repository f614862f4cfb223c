"""Emits the signals of a recorded session again, to the plugins that present."""

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, is_dataclass, replace
from datetime import UTC, datetime
from itertools import count
from time import monotonic
from typing import Any

import structlog

from backend.plugins import Host
from backend.signals import (
    EventPublished,
    SessionFinished,
    SessionStarted,
    Signal,
    TtsWritten,
    emit,
    event_published,
    session_finished,
)
from backend.storage import new_session_id
from backend.tracking import (
    Recorded,
    Recording,
    RecordingError,
    read_recording,
    recorded_sessions,
)
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed

log = structlog.get_logger(__name__)

LAST = "last"
MAX_REPLAYS = 4
OUTCOMES = (WavesWritten, WavesFailed)
PAUSE_S = 1.0
"""Between two rounds of a loop, however fast it is."""


@dataclass(slots=True)
class Replay:
    """A replay that runs, or has run; `session_id` is that of its present round."""

    id: int
    recording: Recording
    to: frozenset[str]
    speed: float | None
    """None: as fast as possible."""
    loop: bool
    from_s: float
    lease_s: float | None
    """It ends when nobody asks for it for so long; None: it does not."""
    session_id: str = ""
    emitted: int = 0
    rounds: int = 0
    running: bool = True
    task: asyncio.Task[None] | None = None
    lease: asyncio.TimerHandle | None = None


class Replays:
    """The replays of this process, the latest last."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._numbers = count(1)
        self.all: dict[int, Replay] = {}

    def read(self, session_id: str) -> Recording:
        """Return a recording, or that of the last session; for a thread."""
        if session_id == LAST:
            latest = next(recorded_sessions(self._host.artifacts), None)
            if latest is None:
                raise RecordingError("no session was recorded yet")
            session_id = latest
        return read_recording(self._host.artifacts, session_id)

    def targets(self, names: Collection[str]) -> frozenset[str]:
        """Return the plugins to send to, by default all that present, or raise RecordingError."""
        presenting = self._host.board.presenting
        if wrong := sorted(set(names) - presenting):
            raise RecordingError(
                f"{', '.join(wrong)}: a replay is only sent to running plugins that present, "
                f"which are {', '.join(sorted(presenting)) or 'none'}"
            )
        return frozenset(names) or presenting

    def start(
        self,
        recording: Recording,
        *,
        to: Collection[str] = (),
        speed: float | None = 1.0,
        loop: bool = False,
        from_s: float = 0.0,
        lease_s: float | None = None,
    ) -> Replay:
        """Start a replay and return it, or raise RecordingError."""
        if sum(one.running for one in self.all.values()) >= MAX_REPLAYS:
            raise RecordingError(f"{MAX_REPLAYS} replays run: stop one of them")
        if from_s and from_s >= recording.duration_s:
            raise RecordingError(f"the session has {recording.duration_s:.1f} s, not {from_s:g}")
        replay = Replay(
            next(self._numbers), recording, self.targets(to), speed, loop, from_s, lease_s
        )
        self.all[replay.id] = replay
        for id_ in [id_ for id_, one in self.all.items() if not one.running][:-MAX_REPLAYS]:
            del self.all[id_]
        replay.task = asyncio.create_task(self._run(replay), name="replay")
        self.renew(replay)
        return replay

    def renew(self, replay: Replay) -> None:
        """Begin the lease of a replay anew."""
        if replay.lease is not None:
            replay.lease.cancel()
        if replay.lease_s is not None and replay.task is not None:
            loop = asyncio.get_running_loop()
            replay.lease = loop.call_later(replay.lease_s, replay.task.cancel)

    async def stop(self, replay: Replay) -> None:
        """End a replay, and with it the session of its present round."""
        if replay.task is not None:
            replay.task.cancel()
            await asyncio.wait([replay.task])

    async def aclose(self) -> None:
        """End all replays."""
        for replay in list(self.all.values()):
            await self.stop(replay)

    async def _run(self, replay: Replay) -> None:
        log.info("replay started", of=replay.recording.session_id, to=sorted(replay.to))
        try:
            with self._host.leases.held(replay.recording.session_id):
                while True:
                    await self._play(replay)
                    replay.rounds += 1
                    if not replay.loop:
                        break
                    await asyncio.sleep(PAUSE_S)
        except Exception:
            log.exception("replay failed", of=replay.recording.session_id)
        finally:
            replay.running = False
            log.info("replay ended", of=replay.recording.session_id, emitted=replay.emitted)

    async def _play(self, replay: Replay) -> None:
        """Emit the signals of one round, each at its time; its session ends, whatever ends it."""
        old, new = replay.recording.session_id, new_session_id()
        replay.session_id = new
        chosen = [one for one in replay.recording.signals if _is_due(one, replay.from_s)]
        began_at = monotonic() - max(replay.from_s, chosen[0].at_s if chosen else 0.0)
        rest, told = replay.recording.signals, list[Any]()
        try:
            for one in chosen:
                if replay.speed is None:
                    await asyncio.sleep(0)
                else:
                    ahead = (one.at_s - replay.from_s) / replay.speed
                    await asyncio.sleep(max(0.0, began_at + replay.from_s + ahead - monotonic()))
                emit(one.signal, self, of_replay(one.event, old, new), to=replay.to)
                told.append(one.event)
                replay.emitted += 1
            if _without_waves(told):  # they may have been made meanwhile
                rest = (await asyncio.to_thread(self.read, old)).signals
        finally:
            for signal, event in self._endings(told, rest):
                emit(signal, self, of_replay(event, old, new), to=replay.to)

    def _endings(
        self, told: list[Any], rest: Iterable[Recorded]
    ) -> Iterator[tuple[Signal[Any], Any]]:
        """Yield what still ends a session of which `told` was told; the waves in `rest` exist."""
        awaited = _without_waves(told)
        for one in rest:
            path = one.event.source.audio_path if isinstance(one.event, OUTCOMES) else ""
            if path in awaited:
                del awaited[path]
                yield one.signal, one.event
        if self._host.board.runs("waves"):  # otherwise nobody awaits them
            for source in awaited.values():
                failed = WavesFailed(source, "not_recorded", "no waves are recorded", 0.0, 0.0)
                yield waves_failed, failed
        started = next((one for one in told if isinstance(one, SessionStarted)), None)
        published = [one for one in told if isinstance(one, EventPublished)]
        if published and published[-1].name != "done":
            last, turns = published[-1], getattr(started, "turns", 3)
            data = json.dumps({"completedSlots": 0, "turns": turns})
            yield event_published, replace(last, number=last.number + 1, name="done", data=data)
        if started is not None and not any(isinstance(one, SessionFinished) for one in told):
            finished = SessionFinished(started.session_id, (), datetime.now(UTC))
            yield session_finished, finished


def _without_waves(told: list[Any]) -> dict[str, TtsWritten]:
    """Return the utterances, by audio path, of whose waves nothing was told."""
    settled = {o.source.audio_path for o in told if isinstance(o, OUTCOMES)}
    spoken = {one.audio_path: one for one in told if isinstance(one, TtsWritten)}
    return {path: one for path, one in spoken.items() if path not in settled}


def _is_due(one: Recorded, from_s: float) -> bool:
    """Return whether a signal is part of a replay from there; a session always begins."""
    first = isinstance(one.event, SessionStarted) or getattr(one.event, "number", 0) == 1
    return from_s == 0 or one.at_s >= from_s or first


def of_replay(event: Any, old: str, new: str) -> Any:
    """Return an event of the session `old` as one of its replay `new`; paths stay as they are."""
    changes: dict[str, Any] = {}
    if getattr(event, "session_id", None) == old:
        changes["session_id"] = new
    if is_dataclass(source := getattr(event, "source", None)):
        changes["source"] = of_replay(source, old, new)
    if isinstance(event, SessionStarted):
        changes["replayed_from"] = old
    if isinstance(event, EventPublished):
        with suppress(ValueError, TypeError, RecursionError):  # a file may hold anything
            data = {**json.loads(event.data), "sessionId": new}
            if event.number == 1:
                data["replayedFrom"] = old
            changes["data"] = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return replace(event, **changes)
