"""Publish the three waves of a recording: all of them or none.

    temporary/.waves-<pid>-<token>/
        1.wav 2.wav 3.wav     written, flushed, read back and compared
        targets.json          where they are to go: from here on there is something to undo
    then, one rename each:    what stands at the targets -> old1.wav ...,  1.wav -> target 1 ...
    then                      the targets' directory flushed, the private directory removed

A reader sees a whole file or no file, never half a file. If a step fails, what was moved is taken
back, a set that stood there before is put back, and `PublishError` names the errno. If the process
dies, the private directory stays behind and `sweep` undoes the step it died in: with 1.wav to 3.wav
untouched nothing had happened yet, with all of them gone everything had, in between the targets are
removed. Whoever publishes to the same targets before that undoes it first, or else a later sweep
would take the new set away. Hence 0 or 3 files, and never waves of two runs side by side.

Rejected: renaming a directory that holds the three files (one atomic step), because the names in
the turn's directory are a contract; completing an interrupted set after a restart, because nobody
would have recorded or announced it, while a set that is missing is simply made again.

A rename is durable once its directory is flushed. Windows cannot flush a directory; there a power
cut may undo the renames, which leaves 0 files or a set that is not `complete`.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backend.storage import WAVE_NUMBERS, flush_directory, is_wave_name, replace_file, riff
from plugins.waves.audio import pcm16
from plugins.waves.errors import PublishError, describe, shown

PRIVATE_PREFIX = ".waves-"
JOURNAL = "targets.json"
MAX_JOURNAL_BYTES = 2**16
_UNFLUSHABLE = (errno.EINVAL, errno.ENOTSUP)  # some network file systems cannot flush a directory


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file that stands in its place, whole."""

    path: Path
    size: int
    sha256: str


def publish(
    waves: Sequence[pcm16.Pcm16], rate: int, targets: Sequence[Path], temporary: Path
) -> tuple[PublishedFile, ...]:
    """Write `waves` as mono 16-bit WAV files to `targets`, all of them or none.

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
    try:
        with _private_directory(temporary) as private:
            published = _write_drafts(waves, rate, targets, private)
            if not _identical(published):
                _undo_earlier(targets, temporary)
                make_directory(targets[0].parent)
                _move_in(targets, private)
    except OSError as error:
        raise PublishError(
            f"cannot publish {shown(targets[0])} and its siblings: {describe(error)}"
        ) from error
    return published


def complete(targets: Sequence[Path]) -> bool:
    """Tell whether `targets` are regular files of one size, as three waves of one recording are."""
    try:
        states = [target.lstat() for target in targets]
    except (OSError, ValueError):
        return False
    sizes = {state.st_size for state in states}
    regular = all(stat.S_ISREG(state.st_mode) for state in states)
    return regular and len(sizes) == 1 and min(sizes) > riff.PCM16_HEADER_BYTES


def remove_partial(targets: Sequence[Path]) -> int:
    """Remove what stands at `targets` unless it is complete; return how many files that were."""
    return 0 if complete(targets) else sum(_unlink(target) for target in targets)


def sweep(temporary: Path, *, pid: int | None = None) -> int:
    """Undo what processes that died while publishing left; return how many there were.

    With `pid`, only what that process left; without, everything: call it so only when nobody
    publishes, as at start. What cannot be undone is left for the next sweep.
    """
    prefix = PRIVATE_PREFIX if pid is None else f"{PRIVATE_PREFIX}{pid}-"
    leftovers = _private_directories(temporary, prefix)
    for private in leftovers:
        with suppress(OSError):
            _undo(private)
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


@contextmanager
def _private_directory(temporary: Path) -> Iterator[Path]:
    """Give a new directory, removed at the end unless something in it is still to be undone."""
    make_directory(temporary)
    token = os.urandom(6).hex()
    private = temporary / f"{PRIVATE_PREFIX}{os.getpid()}-{token}"
    os.mkdir(private)
    try:
        yield private
    finally:
        if not os.path.lexists(private / JOURNAL):
            with suppress(OSError):  # `sweep` finds it
                _remove(private)


def _write_drafts(
    waves: Sequence[pcm16.Pcm16], rate: int, targets: Sequence[Path], private: Path
) -> tuple[PublishedFile, ...]:
    published = []
    for wave, target, draft in zip(waves, targets, _drafts(private), strict=True):
        intended = pcm16.write_pcm16(draft, wave, rate)
        found = pcm16.verify(draft, len(wave), rate)
        if found != intended:
            raise PublishError(f"{target.name}: read back {found}, {intended} written")
        size = riff.PCM16_HEADER_BYTES + 2 * len(wave)
        published.append(PublishedFile(target, size, found))
    return tuple(published)


def _identical(published: Sequence[PublishedFile]) -> bool:
    """Tell whether the same bytes stand at the targets already: announced files never change."""
    for file in published:
        try:
            if not file.path.is_file() or file.path.is_symlink():
                return False
            if file.path.stat().st_size != file.size:
                return False
            if hashlib.sha256(file.path.read_bytes()).hexdigest() != file.sha256:
                return False
        except FileNotFoundError:
            return False
    return True


def _move_in(targets: Sequence[Path], private: Path) -> None:
    """Put the drafts in the place of whatever stands at the targets; on failure undo it all."""
    drafts, olds = _drafts(private), _olds(private)
    moved: list[Path] = []
    kept: list[tuple[Path, Path]] = []
    try:
        _write_journal(targets, private)
        for target, old in zip(targets, olds, strict=True):
            with suppress(FileNotFoundError):
                replace_file(target, old)
                kept.append((old, target))
        for draft, target in zip(drafts, targets, strict=True):
            replace_file(draft, target)
            moved.append(target)
        _flush(targets[0].parent)
    except BaseException:
        _take_back(moved, kept, targets)
        _unlink(private / JOURNAL)
        raise
    with suppress(OSError):  # all is done: `sweep` sees that, too
        _unlink(private / JOURNAL)


def _take_back(
    moved: Sequence[Path], kept: Sequence[tuple[Path, Path]], targets: Sequence[Path]
) -> None:
    """Remove what was moved in and put back what stood there, or else leave nothing there."""
    for target in moved:
        _unlink(target)
    with suppress(OSError):  # then the set is not complete
        for old, target in kept:
            replace_file(old, target)
    remove_partial(targets)


def _undo_earlier(targets: Sequence[Path], temporary: Path) -> None:
    """Undo what an earlier attempt at `targets` left, if one died or could not be undone."""
    absolute = [Path(os.path.abspath(target)) for target in targets]
    for private in _private_directories(temporary):
        try:
            found = _read_journal(private)
        except OSError:  # somebody else's, or gone by now
            continue
        if found == absolute:
            _undo(private)


def _undo(private: Path) -> None:
    """Undo what was left in `private` by a process that died, then remove it."""
    targets = _read_journal(private)
    if targets is not None:
        drafts = sum(draft.exists() for draft in _drafts(private))
        untouched = drafts == len(targets) and not any(old.exists() for old in _olds(private))
        finished = drafts == 0 and complete(targets)
        if not (untouched or finished):
            for target in targets:
                _unlink(target)
            with suppress(FileNotFoundError):
                _flush(targets[0].parent)
    _remove(private)


def _write_journal(targets: Sequence[Path], private: Path) -> None:
    """Note where the drafts go, durably, before the first of them is moved."""
    contents = json.dumps([os.path.abspath(target) for target in targets])
    pcm16.write_new(private / JOURNAL, contents.encode())
    _flush(private)
    _flush(private.parent)


def _read_journal(private: Path) -> list[Path] | None:
    """Return the targets noted in `private`; None if there are none, or none that we would make."""
    try:
        with (private / JOURNAL).open("rb") as stream:
            names = json.loads(stream.read(MAX_JOURNAL_BYTES))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # torn: nothing was moved yet
        return None
    if not isinstance(names, list) or len(names) != len(WAVE_NUMBERS):
        return None
    targets = [Path(str(name)) for name in names]
    return targets if all(is_wave_name(target.name) for target in targets) else None


def _private_directories(temporary: Path, prefix: str = PRIVATE_PREFIX) -> list[Path]:
    try:
        names = os.listdir(temporary)
    except FileNotFoundError:
        return []
    return [temporary / name for name in sorted(names) if name.startswith(prefix)]


def _drafts(private: Path) -> list[Path]:
    return [private / f"{number}.wav" for number in WAVE_NUMBERS]


def _olds(private: Path) -> list[Path]:
    return [private / f"old{number}.wav" for number in WAVE_NUMBERS]


def _remove(private: Path) -> None:
    """Remove the private directory by its known names: that needs no file descriptor.

    The journal goes last of the files, so that a second death here changes nothing.
    """
    for path in (*_drafts(private), *_olds(private), private / JOURNAL):
        _unlink(path)
    os.rmdir(private)


def _unlink(path: Path) -> bool:
    """Remove `path` if it is there; tell whether it was."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _flush(directory: Path) -> None:
    try:
        flush_directory(directory)
    except OSError as error:
        if error.errno not in _UNFLUSHABLE:
            raise
