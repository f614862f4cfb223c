"""The events of a running session, sent to readers and as `event_published`."""

from backend.sessions.events import Event
from backend.signals import EventPublished, emit, event_published
from backend.tracking import EventLog

MAX_EVENTS = 2 + 3 * (2 + 6 * 4) + (2 + 4)
"""session.start and done; per turn its two frames and, of each slot, at most four events."""


class SessionStream(EventLog[Event]):
    """The event log of a session."""

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self.session_id = session_id

    def publish(self, event: Event) -> None:
        """Add an event and send it as `event_published`; call it on the event loop's thread.

        Raises
        ------
        RuntimeError
            If the stream is closed, or has as many events as a session can have.
        """
        if len(self) >= MAX_EVENTS:
            raise RuntimeError(f"session {self.session_id} has more than {MAX_EVENTS} events")
        number = self.append(event)
        if event_published.receivers:
            published = EventPublished(self.session_id, number, event.name, event.data())
            emit(event_published, self, published)
