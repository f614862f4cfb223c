"""Three files or none, whatever fails and whenever the process dies."""

import errno
import hashlib
import itertools
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.storage import atomic, make_directory
from plugins.waves.audio import pcm16
from plugins.waves.errors import PublishError
from plugins.waves.files import paths, publishing
from tests.counts import CRASH_POINTS, FAILED_CALLS
from tests.pairs import pairwise

ROOT = Path(__file__).parents[3]
SR = 8_000
ERRNOS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE")
BEFORE = ("nothing", "another set", "a partial set")
WAITS = (False, True)
"""Whether flushes wait for a disk, so that the files are written at the same time, by threads."""
NEEDED = ("open", "write", "fsync", "replace", "mkdir")
"""The calls that make something."""
UNDOING = ("unlink", "rmdir")
"""The calls that remove something: they need no space, but a read-only disk refuses them, too."""
MADE = 5 + 4 + 5 + 3
"""Opens, writes, flushes and moves of one set where nothing is in the way."""
Count = Callable[[str, object], None]


@dataclass
class Place:
    """An artifacts tree to publish in."""

    root: Path
    waves: list[pcm16.Pcm16] = field(default_factory=list)

    @property
    def temporary(self) -> Path:
        return self.root / ".tmp"

    @property
    def targets(self) -> paths.Targets:
        wav = self.root / "tts/sessions/s1/turn_1/slot-1_gpt-5.2_calm.wav"
        return paths.session_targets(wav, self.root)

    def publish(self) -> tuple[publishing.PublishedFile, ...]:
        return publishing.publish(self.waves, SR, self.targets, self.temporary)

    def there(self) -> list[bytes]:
        return [target.read_bytes() for target in self.targets if target.exists()]

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.temporary.rglob("*") if self.temporary.exists())


def three_waves(seed: int, frames: int = 1_000) -> list[pcm16.Pcm16]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-32768, 32768, frames).astype(np.int16) for _ in range(3)]


@pytest.fixture
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing takes no time, for tests that publish a thousand times; it can still fail."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "artifacts", three_waves(1))


def test_three_files_are_published(place: Place) -> None:
    """The files stand whole in their place, described by size and hash; nothing is left over."""
    published = place.publish()

    assert tuple(file.path for file in published) == place.targets
    for file, wave in zip(published, place.waves, strict=True):
        contents = file.path.read_bytes()
        assert (file.size, file.sha256) == (2_044, hashlib.sha256(contents).hexdigest())
        assert contents == pcm16.encode(wave, SR)
    assert publishing.complete(place.targets)
    assert place.leftovers() == []
    assert len(list(place.targets[0].parent.iterdir())) == 3


def test_the_same_waves_again_change_nothing(place: Place) -> None:
    """Publishing the same waves again leaves the announced files untouched."""
    first = place.publish()
    before = [target.stat() for target in place.targets]

    assert place.publish() == first
    after = [target.stat() for target in place.targets]
    assert [(s.st_ino, s.st_mtime_ns) for s in before] == [(s.st_ino, s.st_mtime_ns) for s in after]


def test_other_waves_replace_a_set(place: Place) -> None:
    """A set that is there is replaced as a whole."""
    place.publish()
    place.waves = three_waves(2, frames=500)

    place.publish()

    assert [contents[44:] for contents in place.there()] == [w.tobytes() for w in place.waves]
    assert place.leftovers() == []


@pytest.mark.parametrize("waits", WAITS)
def test_contents_and_names_are_on_the_disk_before_publishing_ends(
    waits: bool, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journal and drafts are flushed before the first move, the moves before publish returns."""
    steps: list[str] = []
    replace_file, flush, flush_directory = os.replace, os.fsync, atomic.flush_directory

    def moving(source: Path, target: Path) -> None:
        replace_file(source, target)
        steps.append("move")

    def flushing(descriptor: int) -> None:
        flush(descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            steps.append("flush a file")

    def flushing_names(path: Path) -> None:
        flush_directory(path)
        steps.append(f"flush {path.name}")

    monkeypatch.setattr(os, "replace", moving)
    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(publishing, "flush_directory", flushing_names)
    monkeypatch.setattr(publishing, "_flushes_wait", lambda: waits)
    make_directory(place.targets[0].parent)
    make_directory(place.temporary)
    steps.clear()

    place.publish()

    assert steps == ["flush a file"] * 4 + ["move"] * 3 + ["flush turn_1"]


@pytest.mark.parametrize("present", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_a_partial_set_is_completed(place: Place, present: tuple[int, ...]) -> None:
    """A set of one or two files is not complete, can be removed, and is made again whole."""
    place.publish()
    for missing in {0, 1, 2} - set(present):
        place.targets[missing].unlink()
    assert not publishing.complete(place.targets)

    place.publish()

    assert publishing.complete(place.targets)
    assert publishing.remove_partial(place.targets) == 0
    place.targets[present[0]].unlink()
    assert publishing.remove_partial(place.targets) == 2
    assert place.there() == []


def test_complete_means_three_files_of_one_size(place: Place) -> None:
    """Directories, links, stubs and files of different sizes are no complete set."""
    assert not publishing.complete(place.targets)
    place.publish()
    assert publishing.complete(place.targets)

    first = place.targets[0]
    whole = first.read_bytes()
    first.write_bytes(whole[:-2])
    assert not publishing.complete(place.targets)
    first.unlink()
    first.symlink_to(place.targets[1])
    assert not publishing.complete(place.targets)
    for target in place.targets:
        target.unlink()
        target.mkdir()
    assert not publishing.complete(place.targets)
    for target in place.targets[1:]:
        target.rmdir()
    for target in place.targets[1:]:
        target.write_bytes(whole[:44])
    first.rmdir()
    first.write_bytes(whole[:44])
    assert not publishing.complete(place.targets)


@pytest.mark.faults
@pytest.mark.parametrize("obstacle", ["turn", "session", "waves", "temporary", "target"])
def test_something_in_the_way_is_an_error(place: Place, obstacle: str) -> None:
    """F25: a file where a directory is needed, or a directory where a file goes, is an error."""
    turn = place.targets[0].parent
    way = {
        "turn": turn, "session": turn.parent, "waves": place.root / "waves",
        "temporary": place.temporary, "target": place.targets[1],
    }[obstacle]  # fmt: skip
    if obstacle == "target":
        (way / "full").mkdir(parents=True)
    else:
        way.parent.mkdir(parents=True)
        way.write_bytes(b"in the way")

    if obstacle == "target":  # set aside like a file, and then it cannot be removed
        place.publish()
        assert publishing.complete(place.targets)
        return
    with pytest.raises(PublishError, match=r"ENOTDIR|EEXIST"):
        place.publish()
    assert way.read_bytes() == b"in the way"
    assert place.there() == []


@pytest.mark.faults
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_an_unwritable_directory_is_an_error(place: Place) -> None:
    """F25: an output directory that may not be written to is an error that names the errno."""
    turn = place.targets[0].parent
    turn.mkdir(parents=True)
    turn.chmod(0o500)

    with pytest.raises(PublishError, match="EACCES"):
        place.publish()

    turn.chmod(0o700)
    assert (place.there(), place.leftovers()) == ([], [])


class Fault:
    """Makes the n-th of certain OS calls fail, once or from then on."""

    def __init__(self, n: int, number: int, calls: Sequence[str], for_ever: bool) -> None:
        self.n, self.number, self.calls, self.for_ever = n, number, calls, for_ever
        self.count = itertools.count(1)  # threads may call at the same time
        self.hits = 0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in self.calls:
            patch.setattr(os, name, self.wrap(getattr(os, name)))

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*args: Any, **kwargs: Any) -> Any:
            count = next(self.count)
            if count == self.n or (self.for_ever and count > self.n):
                self.hits += 1
                raise OSError(self.number, os.strerror(self.number))
            return call(*args, **kwargs)

        return failing


@pytest.mark.faults
@pytest.mark.usefixtures("fast_disk")
@pytest.mark.parametrize(
    ("code", "for_ever", "before", "waits"), pairwise(ERRNOS, (False, True), BEFORE, WAITS)
)
def test_every_call_may_fail(
    code: str,
    for_ever: bool,
    before: str,
    waits: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Count,
) -> None:
    """F22: whichever call fails, once or for ever, 0 or 3 files stand and nothing is left over."""
    number = getattr(errno, code)
    for n in itertools.count(1):
        place = Place(tmp_path / str(n), three_waves(1))
        old = prepare(place, before)
        fault = Fault(n, number, NEEDED, for_ever)

        error = publish_under(place, fault, waits, monkeypatch)

        found = place.there()
        new = [w.tobytes() for w in place.waves]
        if not fault.hits:
            assert error is None
            break
        assert error is not None, n
        assert code in str(error), n
        assert found in ([], old) if len(old) == 3 else len(found) in (0, len(old)), n
        assert place.leftovers() == [], n
        assert publishing.sweep(place.temporary) == 0
        place.publish()  # the next try succeeds
        assert [contents[44:] for contents in place.there()] == new
    record_property(FAILED_CALLS, n - 1)
    assert n > MADE


@pytest.mark.faults
@pytest.mark.usefixtures("fast_disk")
@pytest.mark.parametrize(
    ("code", "for_ever", "before", "waits"),
    pairwise(("EIO", "EROFS"), (False, True), BEFORE[:2], WAITS),
)
def test_undoing_may_fail_too(
    code: str,
    for_ever: bool,
    before: str,
    waits: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Count,
) -> None:
    """F22: if even removing fails, `sweep` brings 0 or 3 files once the disk is well again."""
    for n in itertools.count(1):
        place = Place(tmp_path / str(n), three_waves(1))
        old = prepare(place, before)
        fault = Fault(n, getattr(errno, code), NEEDED + UNDOING, for_ever)

        error = publish_under(place, fault, waits, monkeypatch)

        publishing.sweep(place.temporary)
        found = place.there()
        new = [w.tobytes() for w in place.waves]
        assert found in ([], old) or [contents[44:] for contents in found] == new, n
        assert place.leftovers() == [], n
        if error is None:
            assert [contents[44:] for contents in found] == new, n
        if not fault.hits:
            break
    record_property(FAILED_CALLS, n - 1)
    assert n > MADE + 1  # and the journal's removal


@pytest.mark.faults
def test_short_writes_are_continued(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """F22: a write that takes a part only is continued until every byte is there."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:313]))

    place.publish()

    assert [contents[44:] for contents in place.there()] == [w.tobytes() for w in place.waves]


@pytest.mark.faults
@pytest.mark.parametrize("lost", range(1, 4))
def test_lost_bytes_are_noticed(place: Place, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """F22: a disk that says it wrote and did not is found out before a file is moved."""
    write, count = os.write, itertools.count(1)

    def lossy(descriptor: int, data: bytes) -> int:
        if next(count) == lost:
            write(descriptor, bytes(data)[:-100] + bytes(100))
            return len(data)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", lossy)

    with pytest.raises(PublishError, match="read back"):
        place.publish()

    assert (place.there(), place.leftovers()) == ([], [])


@pytest.mark.faults
def test_a_disk_that_takes_no_byte_is_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F22: a write that takes nothing is an error instead of going round for ever."""
    monkeypatch.setattr(os, "write", lambda *_: 0)

    with pytest.raises(PublishError, match="EIO"):
        place.publish()

    assert (place.there(), place.leftovers()) == ([], [])


@pytest.mark.parametrize(("number", "accepted"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_directory_that_cannot_be_flushed(
    place: Place, number: int, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that cannot flush directories is accepted, one that fails at it is not."""

    flush = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fail)

    if accepted:
        place.publish()
        assert publishing.complete(place.targets)
    else:
        with pytest.raises(PublishError, match="EIO"):
            place.publish()


def test_a_file_that_is_open_elsewhere_is_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a rename over an open file is refused (Windows), it is tried again a few times."""
    replace, refusals = os.replace, iter([True, True])

    def refusing(source: Path, target: Path) -> None:
        if next(refusals, False):
            raise PermissionError(errno.EACCES, "open elsewhere")
        replace(source, target)

    monkeypatch.setattr(atomic, "_PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(os, "replace", refusing)

    place.publish()

    assert publishing.complete(place.targets)


def test_a_file_that_stays_open_elsewhere_keeps_the_old_set(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set whose second file cannot be replaced stays as it was."""
    place.publish()
    old = place.there()
    place.waves = three_waves(2)
    replace = os.replace

    def refusing(source: Path, target: Path) -> None:
        if place.targets[1] in (Path(source), Path(target)):
            raise PermissionError(errno.EACCES, "open elsewhere")
        replace(source, target)

    monkeypatch.setattr(atomic, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(os, "replace", refusing)

    with pytest.raises(PublishError, match="EACCES"):
        place.publish()

    assert place.there() == old


def prepare(place: Place, before: str) -> list[bytes]:
    """Put what stood there before in place, and return it."""
    if before != "nothing":
        publishing.publish(three_waves(9), SR, place.targets, place.temporary)
    if before == "a partial set":
        place.targets[1].unlink()
    return place.there()


def publish_under(
    place: Place, fault: Fault, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> PublishError | None:
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "_flushes_wait", lambda: waits)
        fault.install(patch)
        try:
            place.publish()
        except PublishError as error:
            return error
    return None


CRASHING = """
import itertools, os, signal, sys
from pathlib import Path
import tests.plugins.waves.files.test_publishing as t
from plugins.waves.files import publishing

def crash_at(n, call, counter):
    def crashing(*args, **kwargs):
        if next(counter) == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return crashing

os.fsync = lambda _: None
root, before, n = Path(sys.argv[1]), sys.argv[2], 0
while True:
    n += 1
    place = t.Place(root / str(n), t.three_waves(1))
    t.prepare(place, before)
    child = os.fork()
    if child == 0:
        publishing._threads.cache_clear()  # those of the parent are not here
        publishing._flushes_wait = lambda: sys.argv[3] == "True"
        counter = itertools.count(1)
        for name in t.NEEDED + t.UNDOING:
            setattr(os, name, crash_at(n, getattr(os, name), counter))
        place.publish()
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(n)
"""


@pytest.mark.faults
@pytest.mark.skipif(not hasattr(os, "fork"), reason="crash points are made by fork")
@pytest.mark.parametrize(
    ("before", "waits"),
    [
        pytest.param(*row, marks=() if row == (BEFORE[2], True) else pytest.mark.e2e)
        for row in itertools.product(BEFORE, WAITS)
    ],
)
def test_the_process_may_die_at_every_step(
    before: str, waits: bool, tmp_path: Path, record_property: Count
) -> None:
    """F23: a process killed at any step leaves, once swept, 0 or 3 files and nothing else."""
    steps = die_at_every_step(tmp_path, before, waits)
    partial, outcomes = 0, set()
    for n in range(1, steps + 1):
        place = Place(tmp_path / str(n), three_waves(1))
        was = place.there()
        partial += len(was) in (1, 2)

        publishing.sweep(place.temporary)

        found = place.there()
        sets = {"new": three_waves(1), "old": three_waves(9)}
        names = [k for k, waves in sets.items() if [c[44:] for c in found] == bodies(waves)]
        outcome = names[0] if names else f"{len(found)} files"
        outcomes.add(outcome)
        if [c[44:] for c in was] == bodies(three_waves(9)):
            assert outcome == "old", n  # nothing had happened to it yet
        assert outcome in {"new", "old", "0 files"} or before == "a partial set", n
        assert place.leftovers() == [], n
        if before == "a partial set" and outcome not in {"new", "0 files"}:
            assert publishing.remove_partial(place.targets) == 2
        place.publish()
        assert publishing.complete(place.targets)
    record_property(CRASH_POINTS, steps - 1)
    assert steps > MADE + 1  # and the journal's removal
    assert partial >= 2
    assert "new" in outcomes


@pytest.mark.faults
@pytest.mark.skipif(not hasattr(os, "fork"), reason="crash points are made by fork")
@pytest.mark.usefixtures("fast_disk")
@pytest.mark.e2e
@pytest.mark.parametrize(("before", "waits"), list(zip(BEFORE, (False, True, False), strict=True)))
def test_what_is_published_after_a_death_stays(before: str, waits: bool, tmp_path: Path) -> None:
    """F23: a set that was made anew before anybody swept is not undone with the one before."""
    steps = die_at_every_step(tmp_path, before, waits)
    for n in range(1, steps + 1):
        place = Place(tmp_path / str(n), three_waves(1))
        place.publish()
        new = place.there()

        publishing.sweep(place.temporary)

        assert bodies(three_waves(1)) == [contents[44:] for contents in new], n
        assert new == place.there(), n
        assert place.leftovers() == [], n
    assert steps > MADE + 1  # and the journal's removal


def die_at_every_step(folder: Path, before: str, waits: bool) -> int:
    """Publish in children that are killed at their first, second, ... call; count the calls."""
    command = [sys.executable, "-c", CRASHING, str(folder), before, str(waits)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def bodies(waves: list[pcm16.Pcm16]) -> list[bytes]:
    return [wave.tobytes() for wave in waves]


def test_a_sweep_leaves_the_files_of_another_publisher(place: Place) -> None:
    """What is moved in by one publisher is not removed with what another left for those targets."""
    place.publish()
    place.targets[2].unlink()
    for name in (".waves-1-dead", ".waves-2-alive"):
        journal = json.dumps([str(target) for target in place.targets])
        (place.temporary / (name + publishing.JOURNAL)).write_text(journal)

    assert publishing.sweep(place.temporary, pid=1) == 1
    assert len(place.there()) == 2
    assert publishing.sweep(place.temporary, pid=2) == 1
    assert (place.there(), place.leftovers()) == ([], [])


def test_sweep_leaves_others_alone(place: Place) -> None:
    """sweep removes what publishers left, of one process if asked, and no other file."""
    place.temporary.mkdir(parents=True)
    for name in (".waves-123-aa-1.wav", ".waves-123-aa-2.wav", ".waves-1234-bb-1.wav", "a.wav"):
        (place.temporary / name).write_bytes(b"half")

    assert publishing.sweep(place.temporary, pid=123) == 1
    assert place.leftovers() == [".waves-1234-bb-1.wav", "a.wav"]
    assert publishing.sweep(place.temporary) == 1
    assert place.leftovers() == ["a.wav"]
    assert publishing.sweep(place.temporary / "missing") == 0


@pytest.mark.parametrize(
    "journal",
    [b"", b"[", b"{}", b'["/etc/passwd"]', b'["a", "b", "c"]', b"\xff\xfe", b"[1, 2, 3]"],
)
def test_a_journal_that_is_not_ours_removes_nothing(place: Place, journal: bytes) -> None:
    """A torn or foreign journal leads to no file but itself."""
    place.publish()
    (place.temporary / f".waves-1-aa{publishing.JOURNAL}").write_bytes(journal)

    publishing.sweep(place.temporary)

    assert publishing.complete(place.targets)
    assert place.leftovers() == []


def test_a_journal_that_names_other_files_removes_none_of_them(place: Place) -> None:
    """sweep removes waves only, whatever a journal says."""
    others = [place.root / name for name in ("a.wav", "b_v3_wave4.wav", "session.json")]
    place.temporary.mkdir(parents=True)
    for n, other in enumerate(others):
        other.write_bytes(b"mine" * n)
    journal = place.temporary / f".waves-1-aa{publishing.JOURNAL}"
    journal.write_text(json.dumps([str(other) for other in others]))

    publishing.sweep(place.temporary)

    assert all(other.exists() for other in others)
    assert place.leftovers() == []


def test_a_failure_leaves_no_directory_in_a_plain_output(tmp_path: Path) -> None:
    """With the output directory as the temporary one, only the three files stand in it."""
    targets = paths.targets_in(tmp_path / "out", Path("voice.wav"))

    publishing.publish(three_waves(1), SR, targets, tmp_path / "out")

    assert sorted((tmp_path / "out").iterdir()) == sorted(targets)
