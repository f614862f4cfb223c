"""One session's events with their ids, for any number of readers.

An id is the event's place in the journal, from 1. The journal only grows, so an id means the same
event to every reader at every reconnection, also with `slot.waves` in between; without them it is
the event's number in the session's own stream. A reader is no more than a position: a slow one, or
one that has gone, costs nothing and holds nobody up.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio

DONE = "done"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it is sent."""

    id: int
    name: str
    data: str


class Journal:
    """The events of one session in the order they came."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._changed = asyncio.Event()
        self.finished = False
        """Whether `done` came; events about waves may follow it."""
        self.closed = False
        """Whether no further event will come."""

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, name: str, data: str) -> None:
        """Add an event and wake the readers; one that comes after the end is left out."""
        if self.closed:
            return
        self._entries.append(Entry(len(self._entries) + 1, name, data))
        self.finished = self.finished or name == DONE
        self._wake()

    def close(self) -> None:
        """Let the readers end once they have read what is there."""
        self.closed = True
        self._wake()

    async def read(self, after: int, stopping: anyio.Event) -> AsyncIterator[Entry]:
        """Yield the entries after id `after` until no further one comes.

        Once `stopping` is set, when the server stops, `done` is enough: nobody waits for waves.
        """
        position = after
        while True:
            while position < len(self._entries):
                position += 1
                yield self._entries[position - 1]
            if self.closed or (self.finished and stopping.is_set()):
                return
            await _either(self._changed, stopping if self.finished else None)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _either(first: asyncio.Event, second: anyio.Event | None) -> None:
    """Wait for one of two events."""
    if second is None:
        await first.wait()
        return
    tasks = [asyncio.ensure_future(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
