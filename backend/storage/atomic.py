"""Write files so that a reader sees the old file or the whole new one, also after a power cut."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DRAFT_PREFIX = ".draft-"
_PAUSES_S = (0.01, 0.04, 0.2) if os.name == "nt" else ()


@contextmanager
def writing(path: Path, temporary: Path) -> Iterator[Path]:
    """Yield a temporary path to write, and move it to `path` when the block ends without error.

    After an error the temporary file is deleted and `path` is unchanged. `temporary` is a directory
    on the same file system.

    Raises
    ------
    OSError
        If the file cannot be flushed or moved.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=temporary, prefix=DRAFT_PREFIX, suffix=path.suffix)
    os.close(descriptor)
    draft = Path(name)
    try:
        yield draft
        flush_file(draft)
        draft.chmod(0o644)
        replace_file(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    flush_directory(path.parent)


def write_bytes(path: Path, data: bytes, temporary: Path) -> None:
    """Replace `path` by `data` atomically; see `writing`."""
    with writing(path, temporary) as draft:
        draft.write_bytes(data)


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
    """Wait until the names in `path` are on the disk; a no-op on Windows, which cannot."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
