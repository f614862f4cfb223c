"""The event logs of the sessions that run and of the newest that have finished.

They are in memory only: a restart empties them. There is no `EventQueue`: adding an event to a list
is all the work of a receiver.
"""

from typing import NamedTuple

from backend.signals import EventPublished
from backend.tracking import EventLog

DONE = "done"


class Entry(NamedTuple):
    """One event as it is sent."""

    name: str
    data: str


SessionLog = EventLog[Entry]


class SessionLogs:
    """The event log of every session that runs, and of the last `keep` that have finished.

    A log is closed at `done` if `close_at_done`; otherwise `close` does it.
    """

    def __init__(self, keep: int, *, close_at_done: bool) -> None:
        self._keep = keep
        self._close_at_done = close_at_done
        self._logs: dict[str, SessionLog] = {}
        self.readers = 0
        """How many are reading now."""

    def __len__(self) -> int:
        return len(self._logs)

    def find(self, session_id: str) -> SessionLog | None:
        """Return a session's log; None if it is not known, or not any more."""
        return self._logs.get(session_id)

    def receive(self, _: object, *, event: EventPublished) -> None:
        """Receive `event_published`: the first event opens a session's log, `done` finishes it."""
        if event.number == 1:
            self._logs[event.session_id] = SessionLog()
        self.add(event.session_id, Entry(event.name, event.data))
        if event.name == DONE:
            self._finish(event.session_id)

    def add(self, session_id: str, entry: Entry) -> None:
        """Add an event to a session's log, if there is one that is not closed."""
        log = self.find(session_id)
        if log is not None and not log.closed:
            log.append(entry)

    def close(self, session_id: str) -> None:
        """Let the readers of a session end."""
        log = self.find(session_id)
        if log is not None:
            log.close()

    def close_all(self) -> None:
        """Let every reader end."""
        for log in self._logs.values():
            log.close()

    def _finish(self, session_id: str) -> None:
        log = self._logs.pop(session_id, None)
        if log is None:
            return
        self._logs[session_id] = log  # the newest that has finished stands last
        log.finished = True
        if self._close_at_done:
            log.close()
        finished = [name for name, log in self._logs.items() if log.finished]
        for name in finished[: -self._keep]:
            self._logs.pop(name).close()
