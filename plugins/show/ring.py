"""The latest events of this run of the server, for a client that was away."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it was sent, in each dialect that has it."""

    cursor: int
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Replay:
    """The events after a cursor; `gap` if some of them may be gone."""

    texts: tuple[str, ...]
    gap: bool


class Ring:
    """Holds the latest `size` events; `base` is the cursor before the first of this run."""

    def __init__(self, size: int, base: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._lost = base
        """The latest cursor whose event is not here; earlier runs had cursors up to `base`."""
        self.last = base

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def oldest(self) -> int | None:
        """The cursor of the oldest event there is."""
        return self._entries[0].cursor if self._entries else None

    def append(self, entry: Entry) -> None:
        """Add an event; at the limit the oldest goes."""
        if len(self._entries) == self._entries.maxlen:
            self._lost = self._entries[0].cursor
        self._entries.append(entry)
        self.last = entry.cursor

    def since(self, cursor: int, dialect: str) -> Replay:
        """Return the events after `cursor`; all of them if `cursor` is none of this server's."""
        unknown = cursor > self.last  # given by a server whose clock was ahead
        texts = tuple(
            entry.texts[dialect]
            for entry in self._entries
            if (unknown or entry.cursor > cursor) and dialect in entry.texts
        )
        return Replay(texts, gap=unknown or cursor < self._lost)
