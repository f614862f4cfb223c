"""The free space of a disk as a reason to pause the pool, instead of failing every job."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import structlog

log = structlog.get_logger(__name__)

WARN_EVERY_S = 60.0
MEGABYTE = 2**20


class DiskSpace:
    """The free space of the disk that `root` is on, against a limit in megabytes; 0 is no limit.

    `root` need not exist yet. `on_freed()` is called when there is enough again.
    """

    def __init__(self, root: Path, min_free_mb: int, on_freed: Callable[[], object] = bool) -> None:
        self._on_freed = on_freed
        self._root = root
        self._min_free_mb = min_free_mb
        self._lock = threading.Lock()
        self._warned_at: float | None = None

    def problem(self) -> str:
        """Return why nothing should be written now, or nothing; log a warning once a minute."""
        free_mb = self._free_mb() if self._min_free_mb else None
        low = free_mb is not None and free_mb < self._min_free_mb
        reason = f"less than {self._min_free_mb} MB free on the disk of {self._root}" if low else ""
        with self._lock:
            self._log(reason, free_mb)
        return reason

    def _free_mb(self) -> int | None:
        """Return the free megabytes; None if they cannot be read."""
        for directory in (self._root, *self._root.parents):
            try:
                return shutil.disk_usage(directory).free // MEGABYTE
            except FileNotFoundError:
                continue
            except OSError:
                return None
        return None

    def _log(self, reason: str, free_mb: int | None) -> None:
        now = monotonic()
        if not reason:
            if self._warned_at is not None:
                log.info("the disk has enough free space again; jobs go on", free_mb=free_mb)
                self._on_freed()
            self._warned_at = None
        elif self._warned_at is None or now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            log.warning(
                "the disk is nearly full; jobs wait: delete files, or lower min_free_mb",
                free_mb=free_mb,
                min_free_mb=self._min_free_mb,
                root=str(self._root),
            )
