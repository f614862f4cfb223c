"""One process per artifacts root: two servers would undo each other's work.

The lock is the operating system's, on `<root>/.lock`, so it ends with the process, however that
ends. Who holds it is written beside it, for the message to whoever comes second. Who gets it is
alone there, and so removes the drafts of files that the one before did not live to finish.
"""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from backend.errors import ArtifactsInUseError
from backend.storage.artifacts import Artifacts
from backend.storage.atomic import sweep_drafts, write_bytes

LOCK_FILE = ".lock"
HOLDER_FILE = ".lock.json"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def holding(artifacts: Artifacts, purpose: str) -> Iterator[None]:
    """Hold the artifacts root while the block runs; `purpose` is told to whoever comes second.

    Raises
    ------
    ArtifactsInUseError
        If another process holds it; the message says which.
    """
    from filelock import FileLock, Timeout  # imports asyncio; a worker needs no lock

    artifacts.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(artifacts.root / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ArtifactsInUseError(
            f"{artifacts.root} is in use by {_holder(artifacts)}: "
            "stop that one, or choose another directory (RR_ARTIFACTS_DIR)"
        ) from None
    try:
        sweep_drafts(artifacts.temporary)
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "purpose": purpose,
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        _write_holder(artifacts, json.dumps(holder).encode())
        yield
    finally:
        with suppress(OSError):
            (artifacts.root / HOLDER_FILE).unlink()
        lock.release()


def _write_holder(artifacts: Artifacts, holder: bytes) -> None:
    """Say who holds the root; on a full disk nobody is named, since who holds it may make room."""
    path = artifacts.root / HOLDER_FILE
    try:
        write_bytes(path, holder, artifacts.temporary)
    except OSError as error:
        if error.errno not in FULL:
            raise
        path.unlink(missing_ok=True)  # the name of a holder who died


def _holder(artifacts: Artifacts) -> str:
    try:
        holder = json.loads((artifacts.root / HOLDER_FILE).read_text("utf-8"))
        return "{purpose}, process {pid} on {host} since {since}".format(**holder)
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
