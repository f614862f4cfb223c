"""Who needs the files of a session: whoever does holds a lease, and nobody removes them meanwhile.

    with host.leases.held(session_id):               may be called anywhere, by anybody, and nested
        ...                                          its speech and waves stay
    with host.leases.removing(session_id) as free:   for what removes files: at once or not at all
        if free:
            ...                                      nobody gets a lease in here

Leases are for this process; other processes are kept out by `lock`. Rejected: a file in the
session's directory, which a power cut leaves behind for ever; one lock that `held` would wait for,
since it is called on the event loop and removing may wait for a disk.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import SessionGoneError


class Leases:
    """The sessions that are held, and those that are being removed; safe on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._going: set[str] = set()

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._held

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def held(self, session_id: str) -> Iterator[None]:
        """Keep the files of a session where they are while the block runs.

        Raises
        ------
        SessionGoneError
            If they are being removed this moment.
        """
        with self._lock:
            if session_id in self._going:
                raise SessionGoneError(f"session {session_id} is being removed")
            self._held[session_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[session_id] -= 1
                if not self._held[session_id]:
                    del self._held[session_id]

    @contextmanager
    def removing(self, session_id: str) -> Iterator[bool]:
        """Tell whether nobody holds the session; if so, nobody will while the block runs."""
        with self._lock:
            free = session_id not in self._held and session_id not in self._going
            if free:
                self._going.add(session_id)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._going.discard(session_id)
