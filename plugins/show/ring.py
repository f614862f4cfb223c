"""The latest events of this run of the server, for a client that was away."""

from collections import deque
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Replay:
    """The events after a cursor; `gap` if some of them may be gone."""

    texts: tuple[str, ...]
    gap: bool


class Ring:
    """Holds the latest `size` events of one dialect, as they were sent.

    Their cursors rise by one; `base` is the cursor before the first of this run, and earlier runs
    had cursors up to `base`.
    """

    def __init__(self, size: int, base: int) -> None:
        self._texts: deque[str] = deque(maxlen=size)
        self.last = base

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def oldest(self) -> int | None:
        """The cursor of the oldest event there is."""
        return self.last - len(self) + 1 if self._texts else None

    def append(self, text: str) -> None:
        """Add an event; at the limit the oldest goes."""
        self._texts.append(text)
        self.last += 1

    def since(self, cursor: int) -> Replay:
        """Return the events after `cursor`; all of them if `cursor` is none of this server's."""
        missed = self.last - cursor
        unknown = missed < 0  # given by a server whose clock was ahead
        count = len(self) if unknown else min(missed, len(self))
        texts = tuple(islice(reversed(self._texts), count))
        return Replay(texts[::-1], gap=unknown or count < missed)
