"""The journals of the sessions that run and of the newest that have finished.

    event_published (number 1)    a journal is opened
    event_published               its next entry
    event_published (done)        among the finished; of those the oldest goes beyond `keep`

So there are never more than `keep` and as many as may run at once. What is kept is in memory only:
a server that was started again knows no session of before.
"""

from backend.signals import EventPublished
from plugins.stream.journal import DONE, Journal


class Journals:
    """Every journal there is, by session id.

    Parameters
    ----------
    keep : int > 0
        How many finished sessions are kept.
    close_at_done : bool
        Whether a journal ends with `done`; otherwise whoever adds to it closes it.
    """

    def __init__(self, keep: int, *, close_at_done: bool) -> None:
        self._keep = keep
        self._close_at_done = close_at_done
        self._running: dict[str, Journal] = {}
        self._finished: dict[str, Journal] = {}
        self.readers = 0
        """How many are reading now."""

    def __len__(self) -> int:
        return len(self._running) + len(self._finished)

    def find(self, session_id: str) -> Journal | None:
        """Return a session's journal; None if it is not known, or not any more."""
        return self._running.get(session_id, self._finished.get(session_id))

    def receive(self, _: object, *, event: EventPublished) -> None:
        """Take an event of a session's stream; see `backend.signals.event_published`."""
        if event.number == 1:
            self._running[event.session_id] = Journal()
        journal = self._running.get(event.session_id)
        if journal is None:
            return
        journal.append(event.name, event.data)
        if event.name == DONE:
            self._finish(event.session_id)

    def close(self) -> None:
        """Let every reader end."""
        for journal in (*self._running.values(), *self._finished.values()):
            journal.close()

    def _finish(self, session_id: str) -> None:
        journal = self._finished[session_id] = self._running.pop(session_id)
        if self._close_at_done:
            journal.close()
        while len(self._finished) > self._keep:
            self._finished.pop(next(iter(self._finished))).close()
