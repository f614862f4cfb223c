"""The events of one session, numbered in order, for any number of readers."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:  # it is not needed to load a plugin's settings
    import anyio

T = TypeVar("T")


class EventLog(Generic[T]):
    """A list that only grows, until it is closed; a number means the same event to every reader.

    A reader is a position in the list: one that is slow, or has gone, delays nothing.
    """

    def __init__(self) -> None:
        self._events: list[T] = []
        self._changed = asyncio.Event()
        self.finished = False
        """Whether a reader need not wait for further events when the server stops."""
        self.closed = False
        """Whether no further event comes."""

    def __len__(self) -> int:
        return len(self._events)

    def append(self, event: T) -> int:
        """Add an event, wake the readers and return its number; for the event loop's thread.

        Raises
        ------
        RuntimeError
            If the log is closed.
        """
        if self.closed:
            raise RuntimeError(f"{type(event).__name__} comes after the end")
        self._events.append(event)
        self._wake()
        return len(self._events)

    def close(self) -> None:
        """End each reader once it has read every event."""
        self.closed = True
        self._wake()

    async def read(
        self, after: int = 0, stopping: "anyio.Event | None" = None
    ) -> AsyncIterator[tuple[int, T]]:
        """Yield number and event, from number `after` + 1 on, until the log is closed.

        Once `stopping` is set, because the server stops, it is enough that the log is finished.
        """
        position = after
        while True:
            while position < len(self._events):
                position += 1
                yield position, self._events[position - 1]
            ends_at_stop = stopping if self.finished else None
            if self.closed or (ends_at_stop and ends_at_stop.is_set()):
                return
            await _wait_for_any(self._changed, ends_at_stop)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _wait_for_any(first: asyncio.Event, second: "anyio.Event | None") -> None:
    if second is None:
        await first.wait()
        return
    waits = [asyncio.ensure_future(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
