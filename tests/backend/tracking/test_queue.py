"""A bounded queue with one task behind it."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from backend.errors import PluginError
from backend.signals import TtsWritten, TurnFinished, emit, tts_written, turn_finished
from backend.tracking import EventQueue, Sent
from backend.tracking import queue as queue_module
from tests.patience import LIMIT_S
from tests.simulated import NOW, spoken


class Gauges(dict[str, Callable[[], float]]):
    """The gauges of a plugin, by name."""

    def show(self, name: str, doc: str, read: Callable[[], float]) -> None:
        """Do what `Host.gauge` does."""
        assert doc
        self[name] = read


async def test_items_are_handled_in_their_order() -> None:
    """However long one takes, the next one waits; at the end all have been handled."""
    handled: list[int] = []

    async def handle(item: int) -> None:
        for _ in range(3 - item):
            await asyncio.sleep(0)
        handled.append(item)

    queue = EventQueue(handle, Gauges().show)
    async with queue.running():
        for item in (0, 1, 2):
            queue.put(item)
        assert [] == handled

    assert [0, 1, 2] == handled


async def test_a_failure_is_logged_and_passed_over() -> None:
    """What one item raises does not keep the next from being handled."""
    handled: list[str] = []

    async def handle(item: str) -> None:
        if item == "bad":
            raise RuntimeError("no")
        handled.append(item)

    queue = EventQueue(handle, Gauges().show)
    with capture_logs() as logs:
        async with queue.running():
            for item in ("bad", "good"):
                queue.put(item)

    assert ["good"] == handled
    assert ["an event could not be handled"] == [log["event"] for log in logs]


async def test_what_waits_is_bounded() -> None:
    """Beyond the limit events are dropped and counted; put never waits nor raises."""
    reached, opened = asyncio.Event(), asyncio.Event()
    handled: list[int] = []

    async def handle(item: int) -> None:
        reached.set()
        await opened.wait()
        handled.append(item)

    gauges = Gauges()
    queue = EventQueue(handle, gauges.show, limit=2)
    with capture_logs() as logs:
        async with queue.running():
            queue.put(0)
            async with asyncio.timeout(LIMIT_S):
                await reached.wait()
            for item in (1, 2, 3, 4):
                queue.put(item)
            waiting = gauges["queue_depth"]()
            opened.set()

    assert (2, 2, 0) == (waiting, gauges["queue_dropped"](), gauges["queue_depth"]())
    assert [0, 1, 2] == handled
    assert [1, 2] == [log["dropped"] for log in logs]


async def test_it_is_a_receiver() -> None:
    """Connected to a signal, it hands each payload to the task."""
    handled: list[TtsWritten] = []

    async def handle(event: TtsWritten) -> None:
        handled.append(event)

    queue = EventQueue(handle, Gauges().show)
    async with queue.running():
        with tts_written.connected_to(queue.receive):
            emit(tts_written, None, spoken("s", 1, 1))

    assert [spoken("s", 1, 1)] == handled


async def test_a_task_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end waiting events are handled for a limited time, then the task is cancelled."""
    monkeypatch.setattr(queue_module, "DRAIN_LIMIT_S", 0.01)

    async def handle(event: int) -> None:
        await asyncio.Event().wait()

    queue = EventQueue(handle, Gauges().show)
    async with asyncio.timeout(LIMIT_S), queue.running():
        queue.put(0)


async def test_several_signals_of_any_thread_are_listened_to() -> None:
    """Each event comes with its signal's name, in order; afterwards nobody listens any more."""
    handled: list[Sent] = []

    async def handle(sent: Sent) -> None:
        handled.append(sent)

    queue: EventQueue[Sent] = EventQueue(handle, Gauges().show)
    async with queue.running():
        with queue.listening({"tts_written", "turn_finished"}):
            emit(tts_written, None, spoken("s", 1, 1))
            event = TurnFinished("s", 1, (1,), NOW)
            await asyncio.to_thread(emit, turn_finished, None, event)
            emit(tts_written, None, spoken("s", 1, 2))  # and then it ends at once
        emit(tts_written, None, spoken("s", 2, 1))

    assert ["tts_written", "turn_finished", "tts_written"] == [one.signal for one in handled]
    assert event == handled[1].event
    assert handled[0].at <= handled[1].at


async def test_a_signal_that_is_not_defined_is_named() -> None:
    """Nobody waits for what never comes, and nothing else is listened to then."""
    queue: EventQueue[Sent] = EventQueue(print, Gauges().show)  # type: ignore[arg-type]  # not called

    with (
        pytest.raises(PluginError, match="has a signal called ebb, tides"),
        queue.listening(("tides", "tts_written", "ebb")),
    ):
        pass
    assert () == tts_written.connections
