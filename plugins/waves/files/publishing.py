"""Publish the waves of a recording: all of them or none. V3 has three, a profile one to nine.

    temporary/.waves-<pid>-<token>-targets.json         the journal: where the waves go
    temporary/.waves-<pid>-<token>-1.wav -2.wav -3.wav  the drafts
        all four written, then flushed at the same time, then read back and compared
    one rename each:    target 1 -> ...-old1.wav if it exists ...,  ...-1.wav -> target 1 ...
    then                the targets' directory flushed, the journal removed

A reader sees a whole file or no file. What stood at the targets is gone before the first new file
arrives: one or two files are a part of one set, never a mixture, and not `complete`. If a step
fails, every file is moved back, and `PublishError` names the errno. If the process dies, the
journal stays, and `sweep` removes what stands at its targets unless that is complete. Hence 0 or 3
files.

Rejected: renaming a directory that holds the three files (one atomic step), because the names in
the turn's directory are a contract; completing an interrupted set after a restart, because a set
that is missing is made again anyway; a private directory for the drafts, because to make and
remove it takes a fifth of the time on a disk.

A rename is durable once its directory is flushed. Windows cannot flush a directory; there a power
cut may undo the renames, which leaves 0 files or a set that is not `complete`.
"""

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from backend.storage import (
    FILE_MODE,
    WAVE_NUMBERS,
    flush_directory,
    is_wave_name,
    make_directory,
    replace_file,
    riff,
)
from plugins.waves.errors import PublishError, describe, shown

if TYPE_CHECKING:
    from plugins.waves.audio import pcm16

PREFIX = ".waves-"
JOURNAL = "-targets.json"
MOST = 9
DRAFTS = tuple(f"-{number}.wav" for number in range(1, MOST + 1))
OLDS = tuple(f"-old{number}.wav" for number in range(1, MOST + 1))
SLOW_FLUSH_S = 0.001
_latest_flush_s = SLOW_FLUSH_S
_WRITE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file that stands in its place, whole."""

    path: Path
    size: int
    sha256: str


def publish(
    waves: "Sequence[pcm16.Pcm16]", rate: int, targets: Sequence[Path], temporary: Path
) -> tuple[PublishedFile, ...]:
    """Write `waves` as mono 16-bit WAV files of `rate` Hertz to `targets`, all of them or none.

    Targets stand in one directory, which is made if need be. `temporary` is on the same file
    system, outside of what is served. Files that have these contents already are left as they are:
    announced files never change.

    Raises
    ------
    PublishError
        If a step fails; none of the files stands in its place then.
    """
    from plugins.waves.audio import pcm16

    contents = [pcm16.encode(wave, rate) for wave in waves]
    try:
        stands = complete(targets) and contents == [target.read_bytes() for target in targets]
        hashes = _hashes(contents) if stands else _publish(contents, targets, temporary)
    except OSError as error:
        raise PublishError(
            f"cannot publish {shown(targets[0])} and its siblings: {describe(error)}"
        ) from error
    return tuple(
        PublishedFile(target, len(data), sha256)
        for target, data, sha256 in zip(targets, contents, hashes, strict=True)
    )


def complete(targets: Sequence[Path]) -> bool:
    """Tell whether `targets` are regular files of one size, as waves of one recording are."""
    try:
        states = [os.lstat(target) for target in targets]
    except (OSError, ValueError):
        return False
    sizes = {state.st_size for state in states}
    regular = all(stat.S_ISREG(state.st_mode) for state in states)
    return regular and len(sizes) == 1 and min(sizes) > riff.PCM16_HEADER_BYTES


def remove_partial(targets: Sequence[Path]) -> int:
    """Remove what stands at `targets` unless it is complete; return how many files that were."""
    return 0 if complete(targets) else sum(_unlink(target) for target in targets)


def sweep(temporary: Path, *, pid: int | None = None, spared: int | None = None) -> int:
    """Remove what processes that died while publishing left; return how many there were.

    With `pid`, only what that process left; without, everything but what the process `spared`
    publishes: call it so only when nobody else does, as at start. What cannot be removed is left
    for the next sweep.
    """
    kept = _left(temporary, f"{PREFIX}{spared}-")
    found = _left(temporary, PREFIX if pid is None else f"{PREFIX}{pid}-")
    publishers = [one for one in found if one not in kept]
    for publisher in publishers:
        with suppress(OSError):
            others = [other for other in _left(temporary, PREFIX) if other != publisher]
            targets = _read_journal(publisher)
            if targets in map(_read_journal, others):  # somebody publishes there now
                targets = []
            _clean_up(publisher, targets)
    return len(publishers)


def _publish(contents: Sequence[bytes], targets: Sequence[Path], temporary: Path) -> Sequence[str]:
    """Write drafts and move them in; return their hashes."""
    make_directory(temporary)
    publisher = f"{temporary}/{PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
    try:
        hashes = _write(contents, targets, publisher)
        make_directory(targets[0].parent)
        olds = _move_in(targets, publisher)
    except BaseException:
        with suppress(OSError):  # `sweep` finds it
            _clean_up(publisher, targets)
        raise
    with suppress(OSError):  # as above
        for name in (f"{publisher}{JOURNAL}", *olds):
            _unlink(name)
    return hashes


def _write(contents: Sequence[bytes], targets: Sequence[Path], publisher: str) -> Sequence[str]:
    """Write journal and drafts, flush them and read them back; return the drafts' hashes."""
    journal = json.dumps([os.path.abspath(target) for target in targets]).encode()
    files = list(zip((JOURNAL, *DRAFTS[: len(contents)]), (journal, *contents), strict=True))
    descriptors: list[int] = []
    try:
        for name, data in files:
            descriptors.append(os.open(f"{publisher}{name}", _WRITE_FLAGS, FILE_MODE))
            _write_all(descriptors[-1], data)
            if sys.platform == "linux":  # starts writing it out, so that its flush waits less
                with suppress(OSError):
                    os.posix_fadvise(descriptors[-1], 0, 0, os.POSIX_FADV_DONTNEED)
        # Flushes that arrive together wait once. Where they wait for no disk, threads cost more.
        flushed = (_threads().map if _flushes_wait() else map)(os.fsync, descriptors)
        hashes = _hashes(contents)  # while the disk works
        list(flushed)
        for descriptor, (name, data) in zip(descriptors, files, strict=True):
            os.lseek(descriptor, 0, os.SEEK_SET)
            if os.read(descriptor, len(data) + 1) != data:
                raise PublishError(f"{shown(publisher + name)}: other bytes were read back")
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return hashes


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`.

    Not soundfile: on a full disk it leaves a file that opens and is too short.
    """
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        if written == 0:
            raise OSError(errno.EIO, "write() took no byte")
        rest = rest[written:]


def _hashes(contents: Sequence[bytes]) -> Sequence[str]:
    return [hashlib.sha256(data).hexdigest() for data in contents]


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads that flush; to start them each time costs as much as a flush."""
    return ThreadPoolExecutor(1 + len(WAVE_NUMBERS), "waves-flush")


def _flushes_wait() -> bool:
    return _latest_flush_s >= SLOW_FLUSH_S


def _move_in(targets: Sequence[Path], publisher: str) -> Sequence[str]:
    """Move the drafts in, return where what stood there is now; on failure move all of it back."""
    names = [os.fspath(target) for target in targets]
    aside = [
        (name, f"{publisher}{old}")
        for name, old in zip(names, OLDS[: len(names)], strict=True)
        if os.path.lexists(name)
    ]
    ours = zip(DRAFTS[: len(names)], names, strict=True)
    drafts = [(f"{publisher}{draft}", name) for draft, name in ours]
    moved = []
    try:
        for source, target in aside + drafts:
            replace_file(source, target)
            moved.append((source, target))
        _flush(targets[0].parent)
    except BaseException:
        try:
            for source, target in reversed(moved):
                replace_file(target, source)
        except OSError:
            for name in names:
                _unlink(name)
        raise
    return [old for _, old in aside]


def _clean_up(publisher: str, targets: Sequence[Path]) -> None:
    """Remove what stands at `targets` unless it is complete, then what a publisher left.

    It is removed by its known names: that needs no file descriptor.
    """
    remove_partial(targets)
    for name in (JOURNAL, *DRAFTS, *OLDS):
        _unlink(f"{publisher}{name}")


def _read_journal(publisher: str) -> list[Path]:
    """Return the targets a publisher noted; none if there are none, or none that we would make."""
    try:
        targets = [Path(name) for name in json.loads(Path(publisher + JOURNAL).read_bytes())]
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return []  # torn: nothing was moved yet
    is_ours = len(targets) <= MOST and all(is_wave_name(target.name) for target in targets)
    return targets if is_ours else []


def _left(temporary: Path, prefix: str) -> list[str]:
    """Return the `.waves-<pid>-<token>` of which there are files, with their directory."""
    try:
        names = os.listdir(temporary)
    except FileNotFoundError:
        return []
    left = {name.rpartition("-")[0] for name in names if name.startswith(prefix)}
    return [f"{temporary}/{publisher}" for publisher in sorted(left)]


def _unlink(path: str | Path) -> bool:
    """Remove `path` if it is there; tell whether it was."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _flush(directory: Path) -> None:
    global _latest_flush_s
    started = perf_counter()
    flush_directory(directory)
    _latest_flush_s = perf_counter() - started
