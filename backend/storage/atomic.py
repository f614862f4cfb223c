"""Write files so that a reader sees the old file or the whole new one, also after a power cut.

Only what that needs may stop anything: a disk that cannot flush names (FAT, CIFS, FUSE) is one
warning. What is made is writable for its owner alone; who may read it is up to the umask.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from logging import getLogger
from pathlib import Path

DRAFT_PREFIX = ".draft-"
DIRECTORY_MODE, FILE_MODE = 0o755, 0o644
_CANNOT = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP)
"""The answers of a disk that has no such thing; others, such as EIO, say that it failed."""
_unflushable: set[int] = set()
_PAUSES_S = (0.01, 0.04, 0.2) if os.name == "nt" else ()


@contextmanager
def writing(path: Path, temporary: Path, *, make_parents: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write, and move it to `path` when the block ends without error.

    After an error the temporary file is deleted and `path` is unchanged. `temporary` is a directory
    on the same file system.

    Raises
    ------
    OSError
        If the file cannot be flushed or moved.
    """
    if make_parents:
        make_directory(path.parent)
    draft = temporary / f"{DRAFT_PREFIX}{os.urandom(8).hex()}{path.suffix}"
    try:
        draft.touch(FILE_MODE, exist_ok=False)
        yield draft
        flush_file(draft)
        replace_file(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    flush_directory(path.parent)


def write_bytes(path: Path, data: bytes, temporary: Path, *, make_parents: bool = True) -> None:
    """Replace `path` by `data` atomically; see `writing`."""
    with writing(path, temporary, make_parents=make_parents) as draft:
        draft.write_bytes(data)


def make_directory(path: Path) -> None:
    """Make `path` and what is missing above it, and flush each new name to the disk."""
    missing = takewhile(lambda one: not os.path.lexists(one), (path, *path.parents))
    for directory in reversed(list(missing)):
        directory.mkdir(DIRECTORY_MODE, exist_ok=True)  # another may have been faster
        flush_directory(directory.parent)


def sweep_drafts(temporary: Path) -> int:
    """Delete the drafts of processes that were killed and return their number.

    Call it only while nobody else writes there.
    """
    if not temporary.is_dir():
        return 0
    drafts = [path for path in temporary.iterdir() if path.name.startswith(DRAFT_PREFIX)]
    for draft in drafts:
        with suppress(OSError):  # the next process that acquires the lock tries again
            draft.unlink()
    return len(drafts)


def replace_file(source: str | Path, target: str | Path) -> None:
    """Move `source` to `target` in one step, replacing an existing file.

    Windows refuses that while either is open, and virus scanners open every new file: there it is
    tried again for a quarter of a second.
    """
    for pause_s in _PAUSES_S:
        try:
            os.replace(source, target)  # noqa: PTH105 - takes names, too
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    os.replace(source, target)  # noqa: PTH105 - as above


def flush_file(path: Path) -> None:
    """Wait until the contents of `path` are on the disk (fsync)."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_directory(path: Path) -> None:
    """Wait until the names in `path` are on the disk, if that can be had; on Windows it cannot."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        if (disk := path.stat().st_dev) not in _unflushable:
            _unflushable.add(disk)
            getLogger(__name__).warning("the disk of %s cannot flush names: %s", path, error)
