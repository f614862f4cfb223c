"""The bus: every receiver is called, and none is noticed by the sender."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from blinker import NamedSignal
from structlog.testing import capture_logs

from backend import signals
from backend.config import Settings
from backend.http.app import create_app
from backend.signals import TtsWritten, define, emit, tracing, tts_written
from tests.live import LiveServer, chat

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


SLOW_S = 1.0
SLOW_AS_SHIPPED_S = signals.SLOW_RECEIVER_S


@pytest.fixture(autouse=True)
def _a_busy_machine_makes_nobody_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count as slow only who means to be: another process may hold any receiver up for 5 ms."""
    monkeypatch.setattr(signals, "SLOW_RECEIVER_S", SLOW_S)


@pytest.fixture
def signal() -> Iterator[NamedSignal]:
    """Return a signal that no other test uses."""
    fresh = define(f"tested_{time.monotonic_ns()}", "Sent by tests.")
    yield fresh
    assert not fresh.receivers, "a test left a receiver connected"


def raises(_: object, *, event: object) -> None:
    raise RuntimeError("the subscriber's own trouble")


def wrong_signature(_: object) -> None: ...


async def is_async(_: object, *, event: object) -> None: ...


def blocks(_: object, *, event: object) -> None:
    threading.Event().wait(SLOW_S + 0.1)


def test_emit_hands_the_payload_to_every_receiver(signal: NamedSignal) -> None:
    """Each connected receiver gets the very payload, once."""
    first, second = Receiver(), Receiver()

    with signal.connected_to(first), signal.connected_to(second):
        emit(signal, None, EVENT)

    assert [EVENT] == first.events == second.events


@pytest.mark.parametrize("bad", [raises, wrong_signature, is_async, blocks])
def test_a_bad_receiver_is_logged_by_name_and_the_good_one_still_called(
    signal: NamedSignal, bad: Any
) -> None:
    """A receiver that fails, blocks or is of the wrong kind costs nobody else the event."""
    good = Receiver()

    with signal.connected_to(bad), signal.connected_to(good), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert [EVENT] == good.events
    assert [f"{__name__}.{bad.__name__}"] == [entry["receiver"] for entry in logs]
    assert logs[0]["signal"] == signal.name


def test_a_failing_receiver_is_logged_with_its_traceback(signal: NamedSignal) -> None:
    """The log of a failure holds what the developer of the subscriber needs."""
    with signal.connected_to(raises), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert "error" == logs[0]["log_level"]
    assert "the subscriber's own trouble" == str(logs[0]["exc_info"])


def test_20_ms_are_slow(signal: NamedSignal, monkeypatch: pytest.MonkeyPatch) -> None:
    """As shipped, a receiver that keeps a session for 20 ms is warned about."""
    monkeypatch.setattr(signals, "SLOW_RECEIVER_S", SLOW_AS_SHIPPED_S)

    def keeps_it(_: object, *, event: object) -> None:
        threading.Event().wait(0.02)

    with signal.connected_to(keeps_it), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert [("receiver is slow", "warning")] == [(log["event"], log["log_level"]) for log in logs]


def test_the_sender_does_not_wait_for_the_log(signal: NamedSignal) -> None:
    """On an event loop a failure is logged after the step of a session that met it."""

    async def step() -> int:
        emit(signal, None, EVENT)
        return len(logs)

    with signal.connected_to(raises), capture_logs() as logs:
        in_the_step = asyncio.run(step())

    assert (0, 1) == (in_the_step, len(logs))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_base_exceptions_pass_through(signal: NamedSignal, stop: type[BaseException]) -> None:
    """A stop of the process is not a receiver's failure."""

    def stops(_: object, *, event: object) -> None:
        raise stop

    with signal.connected_to(stops), pytest.raises(stop):
        emit(signal, None, EVENT)


def test_a_muted_signal_is_not_sent(signal: NamedSignal) -> None:
    """blinker's `muted` works with `emit` as with `send`."""
    receiver = Receiver()

    with signal.connected_to(receiver), signal.muted():
        emit(signal, None, EVENT)

    assert [] == receiver.events


def test_connected_to_holds_a_bound_method_and_lets_it_go(signal: NamedSignal) -> None:
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


def test_a_receiver_may_disconnect_another_while_a_signal_is_sent(signal: NamedSignal) -> None:
    """Changing the receivers during a send is safe."""
    other = Receiver()
    signal.connect(other, weak=False)

    def disconnects(_: object, *, event: object) -> None:
        signal.disconnect(other)

    with signal.connected_to(disconnects), capture_logs() as logs:
        emit(signal, None, EVENT)

    assert [] == logs


def test_a_log_that_fails_does_not_reach_the_sender(
    signal: NamedSignal, monkeypatch: pytest.MonkeyPatch
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


def test_a_traced_emission_is_logged_with_its_receivers(signal: NamedSignal) -> None:
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
    assert int(times[f"{__name__}.blocks"]) >= SLOW_S * 1e6
    assert line["microseconds"] >= SLOW_S * 1e6
    assert [EVENT, EVENT] == good.events


def test_an_emission_nobody_hears_is_traced_too(signal: NamedSignal) -> None:
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
def test_tracing_changes_nothing_about_a_bad_receiver(signal: NamedSignal, bad: Any) -> None:
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


def every_signal() -> list[NamedSignal]:
    return [value for value in vars(signals).values() if isinstance(value, NamedSignal)]


def every_payload() -> list[Any]:
    return [value for value in vars(signals).values() if is_dataclass(value)]


@pytest.mark.parametrize("one", every_signal(), ids=lambda one: one.name)
def test_every_signal_says_who_sends_it_when_and_on_which_thread(one: NamedSignal) -> None:
    """The doc of a signal is its contract."""
    assert one.__doc__ is not None
    assert all(word in one.__doc__ for word in ("Sent by", "thread", "Payload:"))


@pytest.mark.parametrize("payload", every_payload(), ids=lambda payload: payload.__name__)
def test_every_payload_is_frozen_and_documented(payload: Any) -> None:
    """No receiver can change what the next one sees."""
    instance = object.__new__(payload)

    assert payload.__doc__
    with pytest.raises(FrozenInstanceError):
        setattr(instance, fields(payload)[0].name, None)


def test_tts_written_is_one_signal_for_everybody() -> None:
    """A name stands for one signal, wherever it is asked for."""
    assert define("tts_written", "ignored") is tts_written
