"""The event bus: every signal of the host with its payload, and `emit`, the only way to send one.

A receiver is a plain function that hands the event over and returns at once: it runs on the
sender's thread, between two steps of a visitor's session.

    def receive(sender: object, *, event: TtsWritten) -> None:
        ...

    with tts_written.connected_to(receive):
        ...

Order: receivers of the host run first, then those of each plugin in the order in which the plugins
start, each in the order of connection. An event that a receiver emits is delivered after the
present one has reached every receiver, so that all see the events of a thread in the same order.

Rejected: blinker's `send`, which stops at the first receiver that raises, and raises into the
sender. A visitor must not notice a subscriber that fails, blocks or floods.
"""

import asyncio
import inspect
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, TypeVar, cast

import structlog
from blinker import ANY, NamedSignal

from backend.errors import PluginError

log = structlog.get_logger(__name__)

Kind = Literal["response", "comment", "reply", "summary"]
TURN_KINDS: Final[Mapping[int, Kind]] = {1: "response", 2: "comment", 3: "reply", 4: "summary"}
"""The turns of a session, each with the kind of its utterances; turn 4 can be switched on."""
SUMMARY_SLOT = 0
"""The slot of a summary, which is for all six speakers."""


# The payloads: frozen, so that no receiver changes what the next one sees.

AgentText = Annotated[str, "agent text"]
"""A field with what an agent says; it is written to no file without `RR_KEEP_TEXTS`."""
VisitorText = Annotated[str, "visitor text"]
"""A field with what a visitor says, or a part of it; no subscriber writes it to a file."""
TEXTS: Final = (AgentText, VisitorText)


@dataclass(frozen=True, slots=True)
class SpeechHeard:
    """Payload of `speech_heard`; `text` is None unless it is kept, or a plugin includes it."""

    heard_id: str
    duration_s: float
    language_code: str
    heard_at: datetime
    text: VisitorText | None = None


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """Payload of `session_started`; `heard_id` is that of `SpeechHeard`, None if it was typed.

    `text` is what the visitor said, under the same condition as in `SpeechHeard`. With `seed` the
    session can be rehearsed again. `replayed_from` is the session that is replayed, if it is one.
    """

    session_id: str
    slot_ids: tuple[int, ...]
    started_at: datetime
    heard_id: str | None = None
    text: VisitorText | None = None
    turns: int = 3
    seed: int | None = None
    replayed_from: str | None = None


@dataclass(frozen=True, slots=True)
class TtsWritten:
    """Payload of `tts_written`: one utterance as a finished WAV; the backfill knows no `text`."""

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
    text: AgentText = ""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """Payload of `turn_finished`."""

    session_id: str
    turn_index: int
    spoken_slot_ids: tuple[int, ...]
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class SessionFinished:
    """Payload of `session_finished`."""

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


class _Connector(NamedTuple):
    """Who connects receivers: the host, or the plugin that starts as number `place`."""

    place: int
    plugin: str | None
    names: set[str]
    """Of the signals that receivers were connected to."""


_HOST = _Connector(0, None, set())
_connector = ContextVar("connector", default=_HOST)
_connections = count()


@contextmanager
def connecting(place: int, plugin: str | None = None) -> Iterator[set[str]]:
    """Give receivers that the block and its tasks connect the place of a plugin: 1, 2, ...

    The set that it yields holds the names of the signals they were connected to.
    """
    connector = _Connector(place, plugin, set())
    token = _connector.set(connector)
    try:
        yield connector.names
    finally:
        _connector.reset(token)


class Connection(NamedTuple):
    """A receiver of a signal; connections sort into the order in which they are called."""

    place: int
    """That of its plugin; 0 for the host."""
    number: int
    """Counts all connections."""
    plugin: str | None
    receiver: Any
    sender: Any
    """Whose events it gets, `ANY` for those of every sender."""

    def hears(self, sender: Any) -> bool:
        """Return whether it gets the events of `sender`."""
        return self.sender is ANY or self.sender == sender


Payload = TypeVar("Payload")


class Signal(NamedSignal, Generic[Payload]):
    """A signal and its definition: its payload, its meaning in a line, who sends it, where."""

    def __init__(
        self, name: str, payload: type[Payload], meaning: str, sender: str, thread: str
    ) -> None:
        super().__init__(name, meaning)
        self.payload = payload
        self.meaning = meaning
        self.sender = sender
        self.thread = thread
        self.connections: tuple[Connection, ...] = ()
        """In order; replaced when it changes, so that whoever reads it can go on."""

    def connect(self, receiver: Any, sender: Any = NamedSignal.ANY, weak: bool = False) -> Any:  # noqa: ARG002 - blinker's signature
        """Call `receiver` when the signal is sent; `connected_to` does so for a block.

        It is kept until it is disconnected: a weak reference would lose methods and closures.
        """
        connector = _connector.get()
        connector.names.add(self.name)
        if not any(one.receiver == receiver and one.hears(sender) for one in self.connections):
            place, plugin = connector.place, connector.plugin
            added = Connection(place, next(_connections), plugin, receiver, sender)
            self.connections = tuple(sorted((*self.connections, added)))
        return super().connect(receiver, sender, weak=False)

    def disconnect(self, receiver: Any, sender: Any = NamedSignal.ANY) -> None:
        """Call `receiver` no longer, or no longer for `sender`."""
        self.connections = tuple(
            one
            for one in self.connections
            if one.receiver != receiver or not (sender is ANY or one.sender == sender)
        )
        super().disconnect(receiver, sender)


_signals: dict[str, Signal[Any]] = {}


def define(
    name: str,
    payload: type[Payload] | str,
    meaning: str = "",
    *,
    sender: str = "",
    thread: str = "",
) -> Signal[Payload]:
    """Return the one signal called `name`, for a plugin's own `signals.py`.

    As in earlier versions, one text may stand in the place of everything after the name; then any
    payload can be sent.

    Raises
    ------
    PluginError
        If the signal of that name has another payload.
    """
    if isinstance(payload, str):
        return define(name, cast("type[Payload]", object), payload)
    signal = _signals.setdefault(name, Signal(name, payload, meaning, sender, thread))
    if payload not in {object, signal.payload}:
        present, other = _names(signal.payload, payload)
        raise PluginError(
            f"the signal {name!r} is defined with the payload {present}, not {other}: choose "
            "another name"
        )
    return signal


def _names(one: type, other: type) -> tuple[str, str]:
    """Return the names of two classes, with their modules where the names are equal."""
    if one.__name__ != other.__name__:
        return one.__name__, other.__name__
    return f"{one.__module__}.{one.__name__}", f"{other.__module__}.{other.__name__}"


def defined() -> tuple[Signal[Any], ...]:
    """Return every signal that is defined so far."""
    return tuple(_signals.values())


EVENT_LOOP = "event loop"

speech_heard = define(
    "speech_heard",
    SpeechHeard,
    "What a visitor said is understood; its session has not begun, and may never.",
    sender="hearing",
    thread=EVENT_LOOP,
)
session_started = define(
    "session_started",
    SessionStarted,
    "A session has its id; its first turn has not begun.",
    sender="workflow",
    thread=EVENT_LOOP,
)
tts_written = define(
    "tts_written",
    TtsWritten,
    "The speech of an utterance is written and closed; its `slot.audio` has been sent.",
    sender="workflow",
    thread=EVENT_LOOP,
)
turn_finished = define(
    "turn_finished",
    TurnFinished,
    "A turn is over, next to its `turn.done`: no further `tts_written` of it comes.",
    sender="workflow",
    thread=EVENT_LOOP,
)
session_finished = define(
    "session_finished",
    SessionFinished,
    "A session is over, next to its `done`, also one that was cut short.",
    sender="workflow",
    thread=EVENT_LOOP,
)
event_published = define(
    "event_published",
    EventPublished,
    "An event was put on a session's stream.",
    sender="session stream",
    thread=EVENT_LOOP,
)


SLOW_RECEIVER_S = 0.005
"""A receiver that takes longer is warned about: a visitor's session waits for it."""
MAX_WAITING = 1000
"""Events that receivers may emit while one is delivered; receivers may emit in a circle."""


class _Deliveries(threading.local):
    """What this thread delivers, an event and those that its receivers emit; None while nothing.

    An event loop runs on one thread, so each loop has its own.
    """

    present: list[tuple[Signal[Any], Any, object]] | None = None
    to: Collection[str] | None = None
    """The plugins that get them; None: everybody."""
    connection: Connection | None = None
    """The receiver that is called."""
    full: bool = False
    """Whether an event was dropped."""


_deliveries = _Deliveries()
_tracing = False
strict = False
"""Whether a payload of the wrong class raises, as it does in tests, or is logged."""


def emit(
    signal: Signal[Payload], sender: Any, event: Payload, *, to: Collection[str] | None = None
) -> None:
    """Send `event` to every receiver of `signal`, whatever any of them does.

    With `to`, only the receivers of these plugins get it, and what they emit meanwhile.

    A receiver that raises is logged with its name and traceback, one that is a coroutine function
    is logged as wrong, one that takes longer than `SLOW_RECEIVER_S` is warned about. A muted signal
    is not sent, nor is a payload of another class, which is logged. Ctrl-C passes through, and
    nothing more is delivered.
    """
    if signal.is_muted:
        return
    if not isinstance(event, signal.payload):
        _refuse(signal, sender, event)
        return
    if not (signal.connections or _tracing):
        return
    if (deliveries := _deliveries.present) is not None:
        if len(deliveries) <= MAX_WAITING:
            deliveries.append((signal, sender, event))
        elif not _deliveries.full:  # one line, however many follow
            _deliveries.full = True
            problem = "receivers emit in a circle, or too much; events are dropped"
            _log("error", problem, signal, _deliveries.connection)
        return
    _deliveries.present = deliveries = [(signal, sender, event)]
    _deliveries.to = to
    _deliveries.full = False
    try:
        for delivery in deliveries:  # which becomes longer meanwhile
            _deliver(*delivery)
    finally:
        _deliveries.present = None


def _refuse(signal: Signal[Any], sender: Any, event: object) -> None:
    """Say that the sender made an error: the payload is not what the signal carries."""
    expected, sent = _names(signal.payload, type(event))
    if strict:
        raise TypeError(f"{signal.name} carries {expected}, but {sender!r} sent {sent}")
    _log("error", "payload of the wrong class is not sent", signal, expected=expected, sent=sent)


def _deliver(signal: Signal[Any], sender: Any, event: object) -> None:
    """Call the receivers that are connected now."""
    times: list[tuple[Any, float]] = []
    to = _deliveries.to
    for connection in signal.connections:
        if not connection.hears(sender) or (to is not None and connection.plugin not in to):
            continue
        result = None
        _deliveries.connection = connection
        started = perf_counter()
        try:
            result = connection.receiver(sender, event=event)
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - isolation
            _log("error", "receiver failed", signal, connection, exc_info=error)
        elapsed_s = perf_counter() - started
        if result is not None and inspect.iscoroutine(result):
            result.close()
            problem = "receiver is async and was not run: make it a plain function"
            _log("error", problem, signal, connection)
        if elapsed_s > SLOW_RECEIVER_S:
            took_ms = round(elapsed_s * 1000, 1)
            _log("warning", "receiver is slow", signal, connection, milliseconds=took_ms)
        if _tracing:
            times.append((connection.receiver, elapsed_s * 1e6))
    if _tracing:  # the payload's class and no more: some carry what a visitor said
        _log(
            "info",
            "signal emitted",
            signal,
            payload=type(event).__name__,
            receivers=", ".join(f"{_name(one)} {took_us:.0f}" for one, took_us in times) or None,
            microseconds=round(sum(took_us for _, took_us in times)),
        )


def _log(
    level: str,
    message: str,
    signal: Signal[Any],
    connection: Connection | None = None,
    **fields: object,
) -> None:
    """Write a line to the log; on an event loop, after the step of the sender that emits."""
    if connection is not None:
        fields |= {"receiver": connection.receiver, "plugin": connection.plugin}
    try:
        asyncio.get_running_loop().call_soon(_write, level, message, signal, fields)
    except RuntimeError:  # none runs on this thread
        _write(level, message, signal, fields)


def _write(level: str, message: str, signal: Signal[Any], fields: dict[str, object]) -> None:
    with suppress(Exception):  # a log that fails must not reach the sender either
        if "receiver" in fields:
            fields["receiver"] = _name(fields["receiver"])
        getattr(log, level)(message, signal=signal.name, **fields)


def _name(receiver: Any) -> str:
    with suppress(Exception):
        name = getattr(receiver, "__qualname__", None) or repr(receiver)
        return f"{getattr(receiver, '__module__', '?')}.{name}"
    return type(receiver).__qualname__


@contextmanager
def tracing(on: bool) -> Iterator[None]:
    """Log every emission while the block runs, if `on`: its receivers and their microseconds."""
    global _tracing
    before, _tracing = _tracing, _tracing or on
    try:
        yield
    finally:
        _tracing = before
