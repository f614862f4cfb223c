"""The files that crashed two workers: they are not tried again until they change."""

from collections import OrderedDict
from pathlib import Path

SIZE = 1000
"""The oldest are forgotten first."""

Identity = tuple[int, int, int]


class Quarantine:
    """A bounded set of files as they were when they were put there."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Identity] = OrderedDict()

    def add(self, path: str, identity: Identity) -> None:
        """Keep `path` out for as long as it is what it was; see `identity`."""
        self._known[path] = identity
        while len(self._known) > SIZE:
            self._known.popitem(last=False)

    def __contains__(self, path: str) -> bool:
        known = self._known.get(path)
        if known is None or known == identity(path):
            return known is not None
        self._known.pop(path, None)
        return False


def identity(path: str) -> Identity | None:
    """Return what changes when a file does; None if there is none."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
