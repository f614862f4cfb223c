"""The latest events, for a client that was away.

A cursor of this run says exactly which events a client has had. One of an earlier run is lower than
any of this run and was, when it was given, at most the time in milliseconds: what is rebuilt and
ended at that time or later may be new to the client, and so it is replayed: better twice than not.
"""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it was sent; `at_ms` is when it happened, in milliseconds since 1970."""

    cursor: int
    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What came after a cursor; `gap` if some of it may be gone."""

    texts: tuple[str, ...]
    gap: bool


class Ring:
    """Holds the latest `size` events; `base` is the cursor before the first of this run."""

    def __init__(self, size: int, base: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._base = base
        self._lost_cursor = base
        self._lost_ms = 0
        self.last = base

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def oldest(self) -> int | None:
        """The cursor of the oldest event there is."""
        return self._entries[0].cursor if self._entries else None

    def lost_before(self, at_ms: int) -> None:
        """Note that earlier runs told something until then that is not here."""
        self._lost_ms = max(self._lost_ms, at_ms)

    def append(self, entry: Entry) -> None:
        """Add an event; at the limit the oldest goes."""
        if len(self._entries) == self._entries.maxlen:
            self._lost_cursor = self._entries[0].cursor
            self.lost_before(self._entries[0].at_ms)
        self._entries.append(entry)
        self.last = entry.cursor

    def since(self, cursor: int) -> Replay:
        """Return what a client that has had everything up to `cursor` has not."""
        if cursor > self.last:  # of a server whose clock was ahead
            return Replay(tuple(entry.text for entry in self._entries), gap=True)
        if cursor >= self._base:
            texts = tuple(entry.text for entry in self._entries if entry.cursor > cursor)
            return Replay(texts, gap=cursor < self._lost_cursor)
        texts = tuple(entry.text for entry in self._entries if entry.at_ms >= cursor)
        return Replay(texts, gap=cursor < self._lost_ms)
