"""The files that crashed two workers: they are refused until they change, or for a day."""

from collections import OrderedDict
from pathlib import Path
from time import monotonic

SIZE = 1000
"""The oldest are forgotten first."""
DAY_S = 86_400.0

Identity = tuple[int, int, int]


class Quarantine:
    """A bounded set of files as they were when they were put there."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Identity, float]] = OrderedDict()

    def add(self, path: str, identity: Identity, for_s: float = DAY_S) -> None:
        """Refuse `path` for `for_s`, while it has this `identity`."""
        self._known[path] = identity, monotonic() + for_s
        while len(self._known) > SIZE:
            self._known.popitem(last=False)

    def __contains__(self, path: str) -> bool:
        known, until = self._known.get(path, (None, 0.0))
        if known is not None and monotonic() < until and known == identity(path):
            return True
        self._known.pop(path, None)
        return False

    def __len__(self) -> int:
        now = monotonic()
        return sum(now < until for _, until in list(self._known.values()))


def identity(path: str) -> Identity | None:
    """Return what changes when a file does; None if there is none."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
