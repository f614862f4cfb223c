"""The event bus: the host's signals, their payloads, and `emit`, the only way to send one.

A signal is a past participle; its payload is one frozen dataclass passed as `event=`. A receiver is
a plain function `receiver(sender, *, event)` that hands the event over and returns at once: it runs
on the sender's thread, between two steps of a visitor's session.

    with tts_written.connected_to(receiver):
        ...

Connect with `connected_to`, never with a bare `connect()`: that one holds the receiver weakly and
silently loses bound methods, closures and partials.

Why not `signal.send()`: it stops at the first receiver that fails and raises into the sender. A
subscriber that fails, blocks or floods must never be noticed by a visitor, so `emit` calls every
receiver, logs the one that fails, warns about the one that is slow, and returns.
"""

import asyncio
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal

import structlog
from blinker import NamedSignal, Namespace

log = structlog.get_logger(__name__)

SLOW_RECEIVER_S = 0.005
"""A receiver that keeps the sender longer than this is warned about."""

Kind = Literal["response", "comment", "reply"]
TURN_KINDS: Final[Mapping[int, Kind]] = {1: "response", 2: "comment", 3: "reply"}
"""The turns of a session, each with the kind of its utterances."""
_signals = Namespace()


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """Payload of `session_started`."""

    session_id: str
    slot_ids: tuple[int, ...]
    started_at: datetime


@dataclass(frozen=True, slots=True)
class TtsWritten:
    """Payload of `tts_written`: one utterance as a finished WAV."""

    session_id: str
    turn_index: int
    kind: Kind
    slot_id: int
    agent_id: str
    voice_profile: str
    target_slot_id: int | None
    wav_path: Path
    audio_path: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """Payload of `turn_finished`: no further `tts_written` of this turn will come."""

    session_id: str
    turn_index: int
    spoken_slot_ids: tuple[int, ...]
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class SessionFinished:
    """Payload of `session_finished`: the three turns are over, or the session was cut short."""

    session_id: str
    completed_slot_ids: tuple[int, ...]
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class EventPublished:
    """Payload of `event_published`: one event of a session's stream.

    `number` counts from 1 within the session; `data` is the JSON of the event's `data:` line. The
    last one is `done`.
    """

    session_id: str
    number: int
    name: str
    data: str


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Base payload of a plugin's signal that says: the files made from one utterance are there."""

    source: TtsWritten
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class WorkFailed:
    """Base payload of a plugin's signal that says: this utterance gets no files, and why."""

    source: TtsWritten
    reason: str
    message: str


def define(name: str, doc: str) -> NamedSignal:
    """Return the one signal called `name`, for a plugin's own `signals.py`."""
    return _signals.signal(name, doc)


session_started = define(
    "session_started",
    "Sent by the workflow on the event loop's thread once a session has its id, before turn 1. "
    "Payload: SessionStarted.",
)
tts_written = define(
    "tts_written",
    "Sent by the workflow on the event loop's thread right after `slot.audio`, once the WAV is "
    "complete and closed. Payload: TtsWritten.",
)
turn_finished = define(
    "turn_finished",
    "Sent by the workflow on the event loop's thread after the last utterance of a turn, next to "
    "`turn.done`. Payload: TurnFinished.",
)
session_finished = define(
    "session_finished",
    "Sent by the workflow on the event loop's thread at the very end, next to `done`, also when "
    "the session was cut short. Payload: SessionFinished.",
)
event_published = define(
    "event_published",
    "Sent by a session's stream on the event loop's thread right after each event is put on it. "
    "Payload: EventPublished.",
)

_tracing = False


@contextmanager
def tracing(on: bool) -> Iterator[None]:
    """Log every emission while the block runs, if `on`: its receivers and their microseconds."""
    global _tracing
    before, _tracing = _tracing, _tracing or on
    try:
        yield
    finally:
        _tracing = before


def emit(signal: NamedSignal, sender: Any, event: object) -> None:
    """Send `event` to every receiver of `signal`, whatever any of them does.

    A receiver that raises is logged with its name and traceback, one that is a coroutine function
    is logged as wrong, one that takes longer than `SLOW_RECEIVER_S` is warned about. A muted signal
    is not sent. `BaseException` (KeyboardInterrupt, CancelledError) passes through.
    """
    if signal.is_muted:
        return
    receivers = list(signal.receivers_for(sender))
    if _tracing:
        receivers = _traced(signal, receivers)
    for receiver in receivers:
        started = perf_counter()
        try:
            result = receiver(sender, event=event)
        except Exception as error:  # noqa: BLE001 - isolation is what emit() is for
            _log("error", "receiver failed", signal, receiver, exc_info=error)
            result = None
        elapsed_s = perf_counter() - started
        if inspect.iscoroutine(result):
            result.close()
            _log(
                "error",
                "receiver is async and was not run: make it a plain function",
                signal,
                receiver,
            )
        if elapsed_s > SLOW_RECEIVER_S:
            _log(
                "warning",
                "receiver is slow",
                signal,
                receiver,
                milliseconds=round(elapsed_s * 1000, 1),
            )


def _traced(signal: NamedSignal, receivers: list[Any]) -> list[Any]:
    """Return `receivers`, each of them timed, and a last one that logs the emission.

    Of the payload only its class is told: some carry what was said.
    """
    times_us: list[tuple[str, float]] = []

    def timed(receiver: Any) -> Any:
        def call(sender: Any, *, event: object) -> Any:
            started = perf_counter()
            try:
                return receiver(sender, event=event)
            finally:
                times_us.append((_name(receiver), (perf_counter() - started) * 1e6))

        call.__module__ = getattr(receiver, "__module__", "?")
        call.__qualname__ = getattr(receiver, "__qualname__", None) or repr(receiver)
        return call

    def tell(_: object, *, event: object) -> None:
        log.info(
            "signal emitted",
            signal=signal.name,
            payload=type(event).__name__,
            receivers=", ".join(f"{name} {took_us:.0f}" for name, took_us in times_us) or None,
            microseconds=round(sum(took_us for _, took_us in times_us)),
        )

    return [*map(timed, receivers), tell]


def _log(level: str, message: str, signal: NamedSignal, receiver: Any, **fields: object) -> None:
    """Log about a receiver; on an event loop, after the step of the sender that emits."""
    line = partial(_write, level, message, signal, receiver, **fields)
    try:
        asyncio.get_running_loop().call_soon(line)
    except RuntimeError:  # none runs on this thread
        line()


def _write(level: str, message: str, signal: NamedSignal, receiver: Any, **fields: object) -> None:
    """Write a line; a log that cannot be written must not reach the sender either."""
    with suppress(Exception):  # nothing is left to report a failing log to
        getattr(log, level)(message, signal=signal.name, receiver=_name(receiver), **fields)


def _name(receiver: Any) -> str:
    name = getattr(receiver, "__qualname__", None) or repr(receiver)
    return f"{getattr(receiver, '__module__', '?')}.{name}"
