"""Publish the three waves of a recording: all of them or none.

    temporary/.waves-<pid>-<token>/
        targets.json          where the waves go
        1.wav 2.wav 3.wav     written, flushed, read back and compared, all at the same time
    then, one rename each:    target 1 -> old1.wav ... if it exists,  1.wav -> target 1 ...
    then                      the targets' directory flushed, the private directory removed

A reader sees a whole file or no file. What stood at the targets is gone before the first new file
arrives: one or two files are a part of one set, never a mixture, and not `complete`. If a step
fails, every file is moved back, and `PublishError` names the errno. If the process dies, the
private directory stays, and `sweep` removes it, and what stands at its targets unless that is
complete. Hence 0 or 3 files.

Rejected: renaming a directory that holds the three files (one atomic step), because the names in
the turn's directory are a contract; completing an interrupted set after a restart, because a set
that is missing is made again anyway.

A rename is durable once its directory is flushed. Windows cannot flush a directory; there a power
cut may undo the renames, which leaves 0 files or a set that is not `complete`.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from backend.storage import WAVE_NUMBERS, flush_directory, is_wave_name, replace_file, riff
from plugins.waves.errors import PublishError, describe, shown

if TYPE_CHECKING:
    from plugins.waves.audio import pcm16

PRIVATE_PREFIX = ".waves-"
JOURNAL = "targets.json"
DRAFTS = tuple(f"{number}.wav" for number in WAVE_NUMBERS)
OLDS = tuple(f"old{draft}" for draft in DRAFTS)
SLOW_FLUSH_S = 0.001
_latest_flush_s = SLOW_FLUSH_S
_UNFLUSHABLE = (errno.EINVAL, errno.ENOTSUP)  # some network file systems cannot flush a directory
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
    """Write `waves` as mono 16-bit WAV files to `targets`, all of them or none.

    Files that have these contents already are left as they are: announced files never change.

    Parameters
    ----------
    waves : sequence of np.ndarray [shape=(n,)], int16
    rate : int > 0
        Sampling rate in Hertz.
    targets : sequence of Path
        One per wave, all in one directory, which is made if need be.
    temporary : Path
        A directory on the same file system, outside of what is served.

    Raises
    ------
    PublishError
        If a step fails; none of the files stands in its place then.
    """
    from plugins.waves.audio import pcm16

    contents = [pcm16.encode(wave, rate) for wave in waves]
    published = tuple(
        PublishedFile(target, len(data), hashlib.sha256(data).hexdigest())
        for target, data in zip(targets, contents, strict=True)
    )
    try:
        if not _is_published(published):
            _publish(contents, targets, temporary)
    except OSError as error:
        raise PublishError(
            f"cannot publish {shown(targets[0])} and its siblings: {describe(error)}"
        ) from error
    return published


def complete(targets: Sequence[Path]) -> bool:
    """Tell whether `targets` are regular files of one size, as three waves of one recording are."""
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


def sweep(temporary: Path, *, pid: int | None = None) -> int:
    """Remove what processes that died while publishing left; return how many there were.

    With `pid`, only what that process left; without, everything: call it so only when nobody
    publishes, as at start. What cannot be removed is left for the next sweep.
    """
    prefix = PRIVATE_PREFIX if pid is None else f"{PRIVATE_PREFIX}{pid}-"
    leftovers = _private_directories(temporary, prefix)
    for private in leftovers:
        with suppress(OSError):
            others = [other for other in _private_directories(temporary) if other != private]
            targets = _read_journal(private)
            if targets in map(_read_journal, others):  # somebody publishes there now
                targets = []
            _clean_up(private, targets)
    return len(leftovers)


def make_directory(path: Path) -> None:
    """Make `path` and what is missing above it, and flush each new name to the disk."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        with suppress(FileExistsError):  # another publisher was faster; a file fails further on
            os.mkdir(directory, 0o755)
        _flush(directory.parent)


def _is_published(files: Sequence[PublishedFile]) -> bool:
    """Tell whether exactly these bytes stand at the targets."""
    return complete([file.path for file in files]) and all(
        file.path.stat().st_size == file.size
        and hashlib.sha256(file.path.read_bytes()).hexdigest() == file.sha256
        for file in files
    )


def _publish(contents: Sequence[bytes], targets: Sequence[Path], temporary: Path) -> None:
    make_directory(temporary)
    private = f"{temporary}/{PRIVATE_PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
    os.mkdir(private)
    try:
        journal = json.dumps([os.path.abspath(target) for target in targets]).encode()
        names = [f"{private}/{name}" for name in (JOURNAL, *DRAFTS)]
        if _flushes_wait():  # a file system with a journal commits once for all
            with ThreadPoolExecutor(len(names)) as threads:
                list(threads.map(_write_new, names, (journal, *contents)))
        else:
            list(map(_write_new, names, (journal, *contents)))
        make_directory(targets[0].parent)
        _move_in(targets, private)
    finally:
        with suppress(OSError):  # `sweep` finds it
            _clean_up(private, targets)


def _flushes_wait() -> bool:
    """Tell whether flushes wait for a disk; where they do not, threads would cost more time."""
    return _latest_flush_s >= SLOW_FLUSH_S


def _write_new(path: str, contents: bytes) -> None:
    """Write all of `contents` to a new file, flush it to the disk and read it back.

    Not soundfile: on a full disk it leaves a file that opens and is too short.
    """
    descriptor = os.open(path, _WRITE_FLAGS, 0o644)
    try:
        rest = memoryview(contents)
        while rest:
            written = os.write(descriptor, rest)
            if written == 0:
                raise OSError(errno.EIO, "write() took no byte", path)
            rest = rest[written:]
        os.fsync(descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)
        if os.read(descriptor, len(contents) + 1) != contents:
            raise PublishError(f"{shown(path)}: what was read back is not what was written")
    finally:
        os.close(descriptor)


def _move_in(targets: Sequence[Path], private: str) -> None:
    """Move what stands at the targets aside and the drafts in; on failure move all of it back."""
    names = [os.fspath(target) for target in targets]
    moves = [
        (name, f"{private}/{old}")
        for name, old in zip(names, OLDS, strict=True)
        if os.path.lexists(name)
    ]
    moves += [(f"{private}/{draft}", name) for draft, name in zip(DRAFTS, names, strict=True)]
    moved = []
    try:
        for source, target in moves:
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


def _clean_up(private: str, targets: Sequence[Path]) -> None:
    """Remove what stands at `targets` unless it is complete, then the private directory.

    It is removed by its known names: that needs no file descriptor.
    """
    remove_partial(targets)
    _unlink(f"{private}/{JOURNAL}")
    try:
        os.rmdir(private)
    except OSError:  # not empty
        for name in (*DRAFTS, *OLDS):
            _unlink(f"{private}/{name}")
        os.rmdir(private)


def _read_journal(private: str) -> list[Path]:
    """Return the targets noted in `private`; none if there are none, or none that we would make."""
    try:
        targets = [Path(name) for name in json.loads(Path(private, JOURNAL).read_bytes())]
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return []  # torn: nothing was moved yet
    is_ours = len(targets) == len(DRAFTS) and all(is_wave_name(target.name) for target in targets)
    return targets if is_ours else []


def _private_directories(temporary: Path, prefix: str = PRIVATE_PREFIX) -> list[str]:
    try:
        names = os.listdir(temporary)
    except FileNotFoundError:
        return []
    return [f"{temporary}/{name}" for name in sorted(names) if name.startswith(prefix)]


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
    try:
        flush_directory(directory)
    except OSError as error:
        if error.errno not in _UNFLUSHABLE:
            raise
    _latest_flush_s = perf_counter() - started
