"""Read the sizes and times of a tree of files, directory by directory."""

import os
from collections.abc import Iterator
from typing import NamedTuple

RACY_S = 2.0
"""A directory that changed this recently may change again without a new time stamp."""


class Directory(NamedTuple):
    """The files of one directory, without those of the directories below it."""

    path: str
    mtime_ns: int
    """When an entry was last added or removed, read before its entries were."""
    files: int
    size: int
    newest_s: float
    """When its newest file was written, in seconds since 1970; 0 without files."""


def walk(top: str, *, ignore_errors: bool = False) -> Iterator[Directory]:
    """Yield `top` and every directory below it; a link counts as a file and is not followed.

    Raises
    ------
    OSError
        If a directory cannot be read or is removed meanwhile, unless errors are to be ignored.
    """
    remaining = [top]
    while remaining:
        path = remaining.pop()
        files, size, newest_s = 0, 0, 0.0
        try:
            mtime_ns = os.lstat(path).st_mtime_ns
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        remaining.append(entry.path)
                        continue
                    status = entry.stat(follow_symlinks=False)
                    files += 1
                    size += status.st_size
                    if status.st_mtime > newest_s:  # max() takes a tenth longer
                        newest_s = status.st_mtime
        except OSError:
            if not ignore_errors:
                raise
            continue
        yield Directory(path, mtime_ns, files, size, newest_s)


def is_settled(mtime_ns: int, now_s: float) -> bool:
    """Tell whether a later change to a directory of this time stamp would get another one."""
    return mtime_ns < (now_s - RACY_S) * 1e9
