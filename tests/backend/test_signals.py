"""The bus: every receiver is called, and none is noticed by the sender."""

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import FrozenInstanceError, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from backend import signals
from backend.config import Settings
from backend.errors import PluginError
from backend.http.app import create_app
from backend.signals import (
    EVENT_LOOP,
    SessionStarted,
    Signal,
    TtsWritten,
    connecting,
    define,
    defined,
    emit,
    tracing,
    tts_written,
)
from tests.live import LiveServer, chat
from tests.patience import LIMIT_S

EVENT = TtsWritten(
    session_id="s",
    turn_index=1,
    kind="response",
    slot_id=1,
    agent_id="gpt-4o",
    voice_profile="calm_soothing",
    target_slot_id=None,
    wav_path=Path("x.wav"),
    audio_path="tts/x.wav",
    written_at=datetime.now(UTC),
)


class Receiver:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def __call__(self, _: object, *, event: object) -> None:
        self.events.append(event)

    def method(self, _: object, *, event: object) -> None:
        self.events.append(event)

    def fails(self, _: object, *, event: object) -> None:
        raise RuntimeError("the subscriber's own trouble")


def define_for_tests(name: str) -> Signal[TtsWritten]:
    return define(name, TtsWritten, "For tests.", sender="tests", thread=EVENT_LOOP)


BLOCKED_S = 1.0


class Clock:
    """Time that passes only in a receiver that blocks."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture(autouse=True)
def _a_busy_machine_makes_nobody_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count as slow only who means to be: another process may hold any receiver up for 5 ms."""
    monkeypatch.setattr(signals, "perf_counter", CLOCK)


@pytest.fixture
def signal() -> Iterator[Signal[Any]]:
    """Return a signal that no other test uses."""
    fresh = define_for_tests(f"tested_{time.monotonic_ns()}")
    yield fresh
    assert not fresh.receivers, "a test left a receiver connected"


def raises(_: object, *, event: object) -> None:
    raise RuntimeError("the subscriber's own trouble")


def wrong_signature(_: object) -> None: ...


async def is_async(_: object, *, event: object) -> None: ...


def blocks(_: object, *, event: object) -> None:
    CLOCK.now += BLOCKED_S


def test_emit_hands_the_payload_to_every_receiver(signal: Signal[Any]) -> None:
    """Each connected receiver gets the very payload, once."""
    first, second = Receiver(), Receiver()

    with signal.connected_to(first), signal.connected_to(second):
        emit(signal, None, EVENT)

    assert [EVENT] == first.events == second.events


@pytest.mark.parametrize("bad", [raises, wrong_signature, is_async, blocks])
def test_a_bad_receiver_is_logged_by_name_and_the_good_one_still_called(
    signal: Signal[Any], bad: Any
) -> None:
    """A receiver that fails, blocks or is of the wrong kind costs nobody else the event."""
    good = Receiver()

    with signal.connected_to(bad), signal.connected_to(good), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert [EVENT] == good.events
    assert [f"{__name__}.{bad.__name__}"] == [entry["receiver"] for entry in logs]
    assert logs[0]["signal"] == signal.name


@pytest.mark.parametrize("bad", [raises, wrong_signature, is_async, blocks, Receiver().fails])
def test_a_bad_receiver_is_logged_with_its_plugin(signal: Signal[Any], bad: Any) -> None:
    """The line names who connected the receiver, also where the plugin has ended meanwhile."""

    async def step() -> None:
        with connecting(1, "tides"), signal.connected_to(bad):
            emit(signal, None, EVENT)
        with signal.connected_to(bad):
            emit(signal, None, EVENT)

    with capture_logs() as logs:
        asyncio.run(step())

    assert ["tides", None] == [entry["plugin"] for entry in logs]


def test_a_failing_receiver_is_logged_with_its_traceback(signal: Signal[Any]) -> None:
    """The log of a failure holds what the developer of the subscriber needs."""
    with signal.connected_to(raises), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert "error" == logs[0]["log_level"]
    assert "the subscriber's own trouble" == str(logs[0]["exc_info"])


def test_20_ms_are_slow(signal: Signal[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As shipped, a receiver that keeps a session for 20 ms is warned about."""
    monkeypatch.setattr(signals, "perf_counter", time.perf_counter)

    def keeps_it(_: object, *, event: object) -> None:
        threading.Event().wait(0.02)

    with signal.connected_to(keeps_it), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert [("receiver is slow", "warning")] == [(log["event"], log["log_level"]) for log in logs]


def test_the_sender_does_not_wait_for_the_log(signal: Signal[Any]) -> None:
    """On an event loop a failure is logged after the step of a session that met it."""

    async def step() -> int:
        emit(signal, None, EVENT)
        return len(logs)

    with signal.connected_to(raises), capture_logs() as logs:
        in_the_step = asyncio.run(step())

    assert (0, 1) == (in_the_step, len(logs))


@pytest.mark.parametrize("failure", [SystemExit(7), asyncio.CancelledError()])
def test_a_receiver_ends_neither_the_process_nor_the_sender(
    signal: Signal[Any], failure: BaseException
) -> None:
    """A receiver that exits, or cancels as if it were a task, has failed like any other."""
    good = Receiver()

    def ends(_: object, *, event: object) -> None:
        raise failure

    with signal.connected_to(ends), signal.connected_to(good), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert [EVENT] == good.events
    assert ["receiver failed"] == [log["event"] for log in logs]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, GeneratorExit])
def test_base_exceptions_pass_through(signal: Signal[Any], stop: type[BaseException]) -> None:
    """A stop of the process is not a receiver's failure."""

    def stops(_: object, *, event: object) -> None:
        raise stop

    with signal.connected_to(stops), pytest.raises(stop):
        emit(signal, None, EVENT)


def test_a_muted_signal_is_not_sent(signal: Signal[Any]) -> None:
    """blinker's `muted` works with `emit` as with `send`."""
    receiver = Receiver()

    with signal.connected_to(receiver), signal.muted():
        emit(signal, None, EVENT)

    assert [] == receiver.events


def test_connected_to_holds_a_bound_method_and_lets_it_go(signal: Signal[Any]) -> None:
    """A bound method of an object nobody else holds is called while connected, and not after."""
    events: list[object] = []

    def connected() -> Any:
        receiver = Receiver()
        receiver.events = events
        return signal.connected_to(receiver.method)

    with connected():
        emit(signal, None, EVENT)
    emit(signal, None, EVENT)

    assert [EVENT] == events


def test_a_receiver_may_disconnect_another_while_a_signal_is_sent(signal: Signal[Any]) -> None:
    """Changing the receivers during a send is safe."""
    other = Receiver()
    signal.connect(other, weak=False)

    def disconnects(_: object, *, event: object) -> None:
        signal.disconnect(other)

    with signal.connected_to(disconnects), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert [] == logs


def test_a_log_that_fails_does_not_reach_the_sender(
    signal: Signal[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F33: a failing receiver and a failing log handler together are still not noticed."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk of the log is full")

    handler = Broken()
    logging.getLogger(signals.__name__).addHandler(handler)
    good = Receiver()
    monkeypatch.setattr(signals, "log", structlog.wrap_logger(logging.getLogger(signals.__name__)))

    with signal.connected_to(raises), signal.connected_to(good):
        emit(signal, None, EVENT)
    logging.getLogger(signals.__name__).removeHandler(handler)

    assert [EVENT] == good.events


def test_a_traced_emission_is_logged_with_its_receivers(signal: Signal[Any]) -> None:
    """While tracing, each emission is a line: signal, payload, receivers and microseconds."""
    good = Receiver()

    with signal.connected_to(good.method), signal.connected_to(blocks), capture_logs() as logs:
        with tracing(True):
            emit(signal, None, EVENT)
        emit(signal, None, EVENT)

    (line,) = [entry for entry in logs if entry["event"] == "signal emitted"]
    times = dict(told.rsplit(" ", 1) for told in line["receivers"].split(", "))
    assert (signal.name, "TtsWritten") == (line["signal"], line["payload"])
    assert {f"{__name__}.Receiver.method", f"{__name__}.blocks"} == times.keys()
    assert int(times[f"{__name__}.blocks"]) >= BLOCKED_S * 1e6
    assert line["microseconds"] >= BLOCKED_S * 1e6
    assert [EVENT, EVENT] == good.events


def test_an_emission_nobody_hears_is_traced_too(signal: Signal[Any]) -> None:
    """Without a receiver the line is there, and names none; without tracing there is no line."""
    with tracing(True), tracing(False), capture_logs() as logs:
        emit(signal, None, EVENT)
        with signal.muted():
            emit(signal, None, EVENT)
    with tracing(False), capture_logs() as untraced:
        emit(signal, None, EVENT)

    assert [(None, 0)] == [(entry["receivers"], entry["microseconds"]) for entry in logs]
    assert [] == untraced


@pytest.mark.parametrize("bad", [raises, wrong_signature, is_async])
def test_tracing_changes_nothing_about_a_bad_receiver(signal: Signal[Any], bad: Any) -> None:
    """It is logged by its own name as without tracing, and the good one is called."""
    good = Receiver()

    with signal.connected_to(bad), signal.connected_to(good), capture_logs() as logs, tracing(True):
        emit(signal, None, EVENT)

    bad_name = f"{__name__}.{bad.__name__}"
    assert [EVENT] == good.events
    assert [bad_name] == [entry["receiver"] for entry in logs if "receiver" in entry]
    assert bad_name in logs[-1]["receivers"]


def test_a_host_that_is_told_to_traces_its_signals(tmp_path: Path) -> None:
    """RR_TRACE_SIGNALS=true shows a session's signals in order, and no word of a visitor."""
    settings = Settings(artifacts_dir=tmp_path, seed=1, trace_signals=True)

    with capture_logs() as logs, LiveServer(create_app(settings, [])) as live:
        events = chat(live, 1, message="a word of a visitor")

    lines = [entry for entry in logs if entry["event"] == "signal emitted"]
    told = ["session_started", "tts_written", *["turn_finished"] * 3, "session_finished"]
    assert sorted(told) == sorted(entry["signal"] for entry in lines)
    assert ("session_started", "session_finished") == (lines[0]["signal"], lines[-1]["signal"])
    words = [data["text"] for name, data in events if name == "slot.done"]
    assert not [word for word in ["a word of a visitor", *words] if word in str(lines)]


def receivers(called: list[str], *names: str) -> list[Any]:
    """Return functions that write their names down when they are called."""

    def receiver(name: str) -> Any:
        return lambda _, *, event: called.append(name)

    return [receiver(name) for name in names]


def test_receivers_run_in_the_order_of_connection(signal: Signal[Any]) -> None:
    """The receiver that was connected first is called first, however many there are."""
    called: list[str] = []
    names = [f"{number}" for number in range(100)]

    with ExitStack() as stack:
        for receiver in receivers(called, *names):
            stack.enter_context(signal.connected_to(receiver))
        emit(signal, None, EVENT)

    assert names == called


async def test_receivers_run_in_the_order_of_their_plugins(signal: Signal[Any]) -> None:
    """A plugin that connects late, in a task of its own, is called in its place all the same."""
    called: list[str] = []
    first, second, late, host = receivers(called, "first", "second", "late", "host")
    started = asyncio.Event()

    async def connect_late() -> None:
        await started.wait()
        stack.enter_context(signal.connected_to(late))

    with ExitStack() as stack:
        with connecting(1):
            stack.enter_context(signal.connected_to(first))
            task = asyncio.create_task(connect_late())
        with connecting(2):
            stack.enter_context(signal.connected_to(second))
        started.set()
        await task
        stack.enter_context(signal.connected_to(host))
        emit(signal, None, EVENT)

    assert ["host", "first", "late", "second"] == called


def test_a_receiver_for_one_sender_has_its_place(signal: Signal[Any]) -> None:
    """Receivers for one sender and for all senders are called in one order."""
    called: list[str] = []
    first, second, third = receivers(called, "first", "second", "third")

    with ExitStack() as stack:
        stack.enter_context(signal.connected_to(first))
        stack.enter_context(signal.connected_to(second, sender="the sender"))
        stack.enter_context(signal.connected_to(third))
        emit(signal, "the sender", EVENT)
        emit(signal, "another", EVENT)

    assert ["first", "second", "third", "first", "third"] == called


def test_a_receiver_that_connects_again_is_the_last(signal: Signal[Any]) -> None:
    """Connected twice it keeps its place and is called once; disconnected it loses the place."""
    called: list[str] = []
    first, second = receivers(called, "first", "second")

    signal.connect(first, weak=False)
    signal.connect(second, weak=False)
    signal.connect(first, weak=False)
    emit(signal, None, EVENT)
    signal.disconnect(first)
    signal.connect(first, weak=False)
    emit(signal, None, EVENT)
    signal.disconnect(first)
    signal.disconnect(second)

    assert ["first", "second", "second", "first"] == called


def test_a_receiver_that_is_disconnected_leaves_nothing(signal: Signal[Any]) -> None:
    """What a signal keeps of its receivers does not grow with every client that comes and goes."""
    receiver = Receiver()

    with connecting(1, "tides"), signal.connected_to(receiver.method):
        (during,) = signal.connections

    assert "tides" == during.plugin
    assert () == signal.connections
    assert {} == signal.receivers


async def test_a_bare_connection_is_kept(signal: Signal[Any]) -> None:
    """A method that nothing else refers to is called until it is disconnected."""
    events: list[object] = []

    class Listener:
        def receive(self, _: object, *, event: object) -> None:
            events.append(event)

    signal.connect(Listener().receive)
    gc.collect()
    emit(signal, None, EVENT)
    (connection,) = signal.connections
    signal.disconnect(connection.receiver)
    emit(signal, None, EVENT)

    assert [EVENT] == events


def test_all_receivers_see_events_in_one_order(signal: Signal[Any]) -> None:
    """What a receiver emits is delivered when everybody has the present event."""
    other = define_for_tests(f"{signal.name}_other")
    seen: dict[str, list[str]] = {"before": [], "after": []}

    def emits(_: object, *, event: object) -> None:
        emit(other, None, EVENT)
        emit(other, None, EVENT)

    def keeping(place: str, name: str) -> Any:
        return lambda _, *, event: seen[place].append(name)

    with ExitStack() as stack:
        for one, name in ((signal, "outer"), (other, "inner")):
            stack.enter_context(one.connected_to(keeping("before", name)))
        stack.enter_context(signal.connected_to(emits))
        for one, name in ((signal, "outer"), (other, "inner")):
            stack.enter_context(one.connected_to(keeping("after", name)))
        emit(signal, None, EVENT)

    assert ["outer", "inner", "inner"] == seen["before"] == seen["after"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, GeneratorExit, RuntimeError])
def test_nothing_waits_after_a_receiver_was_stopped(
    signal: Signal[Any], stop: type[BaseException]
) -> None:
    """The emission after one that was cut short is delivered, alone."""
    other = define_for_tests(f"{signal.name}_other")
    good, later = Receiver(), Receiver()

    def stops(_: object, *, event: object) -> None:
        emit(other, None, EVENT)
        raise stop

    with signal.connected_to(stops), other.connected_to(later), suppress(stop):
        emit(signal, None, EVENT)
    cut_short = len(later.events)
    with signal.connected_to(good), other.connected_to(later):
        emit(signal, None, EVENT)

    assert [EVENT] == good.events
    assert (1 if stop is RuntimeError else 0) == cut_short == len(later.events)


def test_each_thread_delivers_its_own(signal: Signal[Any]) -> None:
    """An emission on another thread does not wait for the one that is delivered here."""
    other = define_for_tests(f"{signal.name}_other")
    good = Receiver()

    def waits_for_a_thread(_: object, *, event: object) -> None:
        thread = threading.Thread(target=emit, args=(other, None, EVENT))
        thread.start()
        thread.join(LIMIT_S)
        assert [EVENT] == good.events

    with signal.connected_to(waits_for_a_thread), other.connected_to(good), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert [] == logs


def test_receivers_that_emit_in_a_circle_come_to_an_end(signal: Signal[Any]) -> None:
    """Who emits its own signal is called a bounded number of times, and is named once each time."""
    good = Receiver()

    def emits_again(_: object, *, event: object) -> None:
        emit(signal, None, EVENT)
        emit(signal, None, EVENT)

    with (
        signal.connected_to(good),
        connecting(1, "tides"),
        signal.connected_to(emits_again),
        capture_logs() as logs,
    ):
        emit(signal, None, EVENT)
        emit(signal, None, EVENT)

    assert 2 * (1 + signals.MAX_WAITING) == len(good.events)
    assert 2 * ["tides"] == [entry["plugin"] for entry in logs if "circle" in entry["event"]]


WRONG: Any = SessionStarted("s", (1,), datetime.now(UTC))


def test_a_wrong_payload_is_the_senders_error_in_tests(signal: Signal[Any]) -> None:
    """The tests run strictly: who sends a payload of another class is told with both classes."""
    receiver = Receiver()

    with signal.connected_to(receiver), pytest.raises(TypeError, match=r"TtsWritten.*'me' sent Se"):
        emit(signal, "me", WRONG)

    assert [] == receiver.events


def test_a_wrong_payload_is_a_line_in_a_show(
    signal: Signal[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside tests it is logged and not sent, and the sender goes on."""
    monkeypatch.setattr(signals, "strict", False)
    receiver = Receiver()

    with signal.connected_to(receiver), capture_logs() as logs:
        emit(signal, None, WRONG)

    assert [] == receiver.events
    (line,) = logs
    assert ("error", signal.name, "TtsWritten", "SessionStarted") == (
        *(line["log_level"], line["signal"]),
        *(line["expected"], line["sent"]),
    )


def test_a_payload_may_be_of_a_derived_class(signal: Signal[Any]) -> None:
    """What a derived class adds is no error."""

    class More(TtsWritten):
        """What somebody else adds to."""

    more = More(**{field.name: getattr(EVENT, field.name) for field in fields(EVENT)})
    receiver = Receiver()

    with signal.connected_to(receiver):
        emit(signal, None, more)

    assert [more] == receiver.events


def test_a_show_is_not_strict() -> None:
    """Only the tests are: the module is imported with a log line in mind."""
    program = "from backend import signals; print(signals.strict)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert "False\n" == done.stdout


def every_payload() -> list[Any]:
    return [value for value in vars(signals).values() if is_dataclass(value)]


@pytest.mark.parametrize("payload", every_payload(), ids=lambda payload: payload.__name__)
def test_every_payload_is_frozen_and_documented(payload: Any) -> None:
    """No receiver can change what the next one sees."""
    instance = object.__new__(payload)

    assert payload.__doc__
    with pytest.raises(FrozenInstanceError):
        setattr(instance, fields(payload)[0].name, None)


def test_a_name_stands_for_one_signal(signal: Signal[Any]) -> None:
    """Defined again with the same payload it is the same signal; with another one it is refused."""
    assert define_for_tests(signal.name) is signal
    assert define("tts_written", "ignored") is tts_written
    assert {signal, tts_written} <= set(defined())

    with pytest.raises(PluginError, match=rf"'{signal.name}'.* TtsWritten, not SessionStarted"):
        define(signal.name, SessionStarted, "Another.", sender="tests", thread=EVENT_LOOP)


def test_payloads_of_one_name_are_told_apart(signal: Signal[Any]) -> None:
    """Where two payloads share their name, the errors say of which modules they are."""
    namesake = type("TtsWritten", (), {"__module__": "tides.signals"})
    both = r"backend\.signals\.TtsWritten, (not|but 'me' sent) tides\.signals\.TtsWritten"

    with pytest.raises(PluginError, match=both):
        define(signal.name, namesake, "Another.", sender="tests", thread=EVENT_LOOP)
    with pytest.raises(TypeError, match=both):
        emit(signal, "me", namesake())


def test_a_definition_of_earlier_versions_is_understood() -> None:
    """A name and a doc make a signal that takes any payload."""
    old: Signal[Any] = define(f"old_{time.monotonic_ns()}", "Sent by tests. Payload: str.")
    receiver = Receiver()

    with old.connected_to(receiver):
        emit(old, None, "a word")

    assert ["a word"] == receiver.events
    assert "Sent by tests. Payload: str." == old.meaning
