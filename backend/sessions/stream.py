"""One session's events, for any number of readers.

A session has a known, small number of events (at most `MAX_EVENTS`), so they are kept in one list
and a reader is no more than its position in it. A reader that is slow, or has gone, costs nothing
and holds nobody up; one that comes late sees everything from the start.
"""

import asyncio
from collections.abc import AsyncIterator

from backend.sessions.events import Event
from backend.signals import EventPublished, emit, event_published

MAX_EVENTS = 2 + 3 * (2 + 6 * 4)
"""session.start and done; per turn its two frames and, of six slots, at most four events each."""


class SessionStream:
    """The events of one session in the order they were published."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._events: list[Event] = []
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether no further event will come."""
        return self._closed

    def publish(self, event: Event) -> None:
        """Append an event and wake the readers; call it on the event loop's thread."""
        if self._closed or len(self._events) >= MAX_EVENTS:
            raise RuntimeError(f"{event.name} after the end of session {self.session_id}")
        self._events.append(event)
        self._wake()
        if event_published.receivers:
            number = len(self._events)
            published = EventPublished(self.session_id, number, event.name, event.data())
            emit(event_published, self, published)

    def close(self) -> None:
        """Let the readers end once they have read what is there."""
        self._closed = True
        self._wake()

    async def read(self, after: int = 0) -> AsyncIterator[tuple[int, Event]]:
        """Yield `(number, event)` with numbers from `after` + 1 on, until the stream is closed."""
        position = after
        while True:
            while position < len(self._events):
                position += 1
                yield position, self._events[position - 1]
            if self._closed:
                return
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
