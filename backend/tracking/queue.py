"""Hand events over from receivers to one task, which handles them one after the other.

    relay = Relay(handle)
    async with relay.running():
        with tts_written.connected_to(lambda sender, *, event: relay.put(event)):
            ...

For subscribers whose work takes longer than a receiver may: `put` returns at once, the order stays,
and what waits is bounded. Receivers of the host's signals run on the event loop's thread, where
`put` belongs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

LIMIT = 10_000
"""Hundreds of sessions; what waits beyond that is dropped."""
DRAIN_LIMIT_S = 1.0

T = TypeVar("T")


class Relay(Generic[T]):
    """A bounded queue with one task behind it.

    Parameters
    ----------
    handle : callable
        Awaited for each item; what it raises is logged, and the next item is taken.
    limit : int
        Items that may wait; a further one is dropped with a WARNING.
    """

    def __init__(self, handle: Callable[[T], Awaitable[None]], limit: int = LIMIT) -> None:
        self._handle = handle
        self._queue: asyncio.Queue[T] = asyncio.Queue(limit)
        self.dropped = 0

    def __len__(self) -> int:
        return self._queue.qsize()

    def put(self, item: T) -> None:
        """Hand an item over and return at once."""
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self.dropped += 1
            log.warning("too many events wait; one is dropped", dropped=self.dropped)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Handle items while the block runs, and for a second longer what still waits."""
        task = asyncio.create_task(self._run(), name="relay")
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_LIMIT_S):
                    await self._queue.join()
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            item = await self._queue.get()
            try:
                await self._handle(item)
            except Exception:
                log.exception("an event could not be handled", kind=type(item).__name__)
            finally:
                self._queue.task_done()
