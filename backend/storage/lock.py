"""The lock that lets one process at a time use an artifacts root.

It is a lock of the operating system on `<root>/.lock`, so it is released whenever the process ends.
`<root>/.lock.json` names the process that holds it. Whoever acquires it deletes the unfinished
files of processes that were killed.
"""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from logging import getLogger

from backend.errors import ArtifactsInUseError, SettingsError
from backend.storage.artifacts import Artifacts
from backend.storage.atomic import FILE_MODE, make_directory, sweep_drafts, write_bytes

LOCK_FILE = ".lock"
HOLDER_FILE = ".lock.json"
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def holding(artifacts: Artifacts, purpose: str) -> Iterator[None]:
    """Hold the lock while the block runs; `purpose` is what a second process is told.

    Raises
    ------
    ArtifactsInUseError
        If another process holds it; the message says which.
    SettingsError
        If the root cannot be made or written.
    """
    from filelock import FileLock, Timeout  # imports asyncio; a worker needs no lock

    path = artifacts.root / LOCK_FILE
    lock = FileLock(path)
    try:
        make_directory(artifacts.root)
        with suppress(FileExistsError):  # filelock itself would make it writable for all
            path.touch(FILE_MODE, exist_ok=False)
        lock.acquire(timeout=0)
    except Timeout:
        raise ArtifactsInUseError(
            f"{artifacts.root} is in use by {_holder(artifacts)}: "
            "stop that one, or choose another directory (RR_ARTIFACTS_DIR)"
        ) from None
    except OSError as error:
        if error.errno in FULL:
            raise
        if error.errno not in NO_LOCKS:
            raise SettingsError(
                f"RR_ARTIFACTS_DIR={artifacts.root}: cannot be used ({error.strerror}): "
                "name a folder in which this user may write, such as artifacts"
            ) from error
        getLogger(__name__).warning("there is no lock at %s: run one program at a time", path)
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
    """Name the holder of the lock, except on a full disk: the holder may be there to free space."""
    path = artifacts.root / HOLDER_FILE
    try:
        write_bytes(path, holder, artifacts.temporary)
    except OSError as error:
        if error.errno not in FULL:
            raise
        path.unlink(missing_ok=True)  # it names an earlier holder


def _holder(artifacts: Artifacts) -> str:
    try:
        holder = json.loads((artifacts.root / HOLDER_FILE).read_text("utf-8"))
        return "{purpose}, process {pid} on {host} since {since}".format(**holder)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
