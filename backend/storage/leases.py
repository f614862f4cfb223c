"""Leases, which keep the files of a session from being removed while they are needed.

    with host.leases.held(session_id):               on any thread, also nested
        ...                                          its speech and waves are kept
    with host.leases.removing(session_id) as free:   for code that removes files; never waits
        if free:
            ...                                      nobody can hold a lease here

Leases are for this process; `lock` excludes other processes. Rejected: a file in the session's
directory, which stays after a power cut; one lock for both, since `held` would wait on the event
loop while files are removed.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import SessionGoneError


class Leases:
    """The sessions that are held and those that are being removed; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._removing: set[str] = set()

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._held

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def held(self, session_id: str) -> Iterator[None]:
        """Keep the files of a session while the block runs.

        Raises
        ------
        SessionGoneError
            If they are being removed.
        """
        with self._lock:
            if session_id in self._removing:
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
        """Tell whether nobody holds the session, and let nobody hold it while the block runs."""
        with self._lock:
            free = session_id not in self._held and session_id not in self._removing
            if free:
                self._removing.add(session_id)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._removing.discard(session_id)
