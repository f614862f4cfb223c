"""A bounded queue between the receivers of signals and one task that does the work.

    queue = EventQueue(handle, host.gauge)
    async with queue.running():
        with tts_written.connected_to(queue.receive):
            ...

`receive` and `put` return at once and keep the order. Call them on the event loop's thread, where
receivers of the host's signals run. For several signals, and those of any thread:

    queue: EventQueue[Sent] = EventQueue(handle, host.gauge)
    async with queue.running():
        with queue.listening(("tts_written", "session_finished")):
            ...
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import structlog

from backend.errors import PluginError
from backend.signals import defined

log = structlog.get_logger(__name__)

LIMIT = 10_000
"""The events of hundreds of sessions."""
DRAIN_LIMIT_S = 1.0

T = TypeVar("T")
ShowGauge = Callable[[str, str, Callable[[], float]], None]
"""`Host.gauge` of a plugin."""


class Sent(NamedTuple):
    """An event of a signal, and when it was sent."""

    signal: str
    event: Any
    at: datetime


class EventQueue(Generic[T]):
    """A bounded queue with one task that handles its events one after the other.

    Parameters
    ----------
    handle : callable
        Awaited for each event; what it raises is logged.
    gauge : callable
        Shows `queue_depth` and `queue_dropped` as gauges of the plugin.
    limit : int
        Events that may wait; a further one is dropped with a WARNING.
    """

    def __init__(
        self, handle: Callable[[T], Awaitable[None]], gauge: ShowGauge, limit: int = LIMIT
    ) -> None:
        self._handle = handle
        self._queue: asyncio.Queue[T] = asyncio.Queue(limit)
        self._dropped = 0
        gauge("queue_depth", "Events that wait to be handled.", self._queue.qsize)
        gauge("queue_dropped", "Events dropped at a full queue.", lambda: self._dropped)

    def receive(self, _: object, *, event: T) -> None:
        """Put an event in the queue, as a receiver of a signal."""
        self.put(event)

    def put(self, event: T) -> None:
        """Put an event in the queue and return at once; drop it if the queue is full."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._dropped += 1
            log.warning(
                "the queue is full; an event is dropped",
                kind=type(event).__name__,
                dropped=self._dropped,
            )

    @contextmanager
    def listening(self: "EventQueue[Sent]", names: Collection[str]) -> Iterator[None]:
        """Put the events of several signals in the queue while the block runs.

        Raises
        ------
        PluginError
            If a signal of one of these names is not defined.
        """
        loop = asyncio.get_running_loop()
        signals = {signal.name: signal for signal in defined() if signal.name in names}
        if unknown := ", ".join(sorted(set(names) - signals.keys())):
            known = ", ".join(signal.name for signal in defined())
            raise PluginError(
                f"no plugin that runs has a signal called {unknown}; there are {known}"
            )

        def receive(name: str, _: object, *, event: Any) -> None:
            loop.call_soon_threadsafe(self.put, Sent(name, event, datetime.now(UTC)))

        with ExitStack() as stack:
            for name, signal in signals.items():
                stack.enter_context(signal.connected_to(partial(receive, name)))
            yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Handle events while the block runs, and those left at its end for one second."""
        task = asyncio.create_task(self._run(), name="event queue")
        try:
            yield
        finally:
            await asyncio.sleep(0)  # what was sent just before is put now
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_LIMIT_S):
                    await self._queue.join()
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                await self._handle(event)
            except Exception:
                log.exception("an event could not be handled", kind=type(event).__name__)
            finally:
                self._queue.task_done()
