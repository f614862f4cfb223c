"""What a search finds below an artifacts root."""

import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from backend.storage import Artifacts
from plugins.waves.files import paths, publishing
from plugins.waves.jobs import Found, Search, record
from tests.plugins.waves.speeches import entries, left, set_age, speak


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def publish(
    artifacts: Artifacts, wav: Path, *, recorded: bool = True, session: str = "session-1"
) -> record.Utterance:
    """Give a recording its waves."""
    targets = paths.session_targets(wav, artifacts.root)
    waves = [np.arange(100, dtype=np.int16)] * 3
    files = publishing.publish(waves, 8000, targets, artifacts.temporary)
    utterance = record.Utterance(
        source=artifacts.relative(wav), app_version="1",
        finished_at=record.now(), sets=(record.WaveSet(files=entries(artifacts, files)),),
    )  # fmt: skip
    if recorded:
        record.record(artifacts, session, utterance)
    return utterance


def refuse(artifacts: Artifacts, wav: Path, *, final: bool) -> None:
    """Record that a recording was refused."""
    status = wav.stat()
    record.record(
        artifacts,
        "session-1",
        record.Utterance(
            source=artifacts.relative(wav),
            app_version="1",
            finished_at=record.now(),
            sets=(
                record.WaveSet(
                    reason="invalid_audio",
                    source_size=status.st_size if final else None,
                    source_mtime_ns=status.st_mtime_ns if final else None,
                ),
            ),
        ),
    )


def test_nothing_anywhere(artifacts: Artifacts) -> None:
    """A root that does not exist holds nothing to do."""
    assert [] == left(artifacts)


def test_newest_first(artifacts: Artifacts) -> None:
    """The session that changed last comes first, and in it the newest recording."""
    for age_s, session, name in ((90, "a", "1"), (50, "b", "2"), (70, "b", "3"), (10, "c", "4")):
        path = speak(artifacts, name, session=session, age_s=age_s)
        set_age(path.parent.parent, age_s)

    assert ["4", "2", "3", "1"] == [name for name, _ in left(artifacts)]


def test_each_recording_stands_somewhere(artifacts: Artifacts) -> None:
    """Done and refused recordings are left alone, unrecorded sets told from what is missing."""
    recordings = {
        name: speak(artifacts, name)
        for name in ("done", "unrecorded", "partial", "missing", "refused", "failed", "cut", "odd")
    }
    publish(artifacts, recordings["done"])
    publish(artifacts, recordings["unrecorded"], recorded=False)
    publish(artifacts, recordings["partial"], recorded=False)
    refuse(artifacts, recordings["refused"], final=True)
    refuse(artifacts, recordings["failed"], final=False)
    publish(artifacts, recordings["cut"])
    publish(artifacts, recordings["odd"], recorded=False)
    targets = {name: paths.session_targets(p, artifacts.root) for name, p in recordings.items()}
    targets["partial"][1].unlink()
    targets["cut"][2].write_bytes(b"RIFF")
    targets["odd"][0].write_bytes(b"\0" * 244)

    assert {
        "unrecorded": "unrecorded", "partial": "pending", "missing": "pending",
        "failed": "pending", "cut": "pending", "odd": "pending",
    } == dict(left(artifacts))  # fmt: skip


def test_a_refused_recording_is_looked_at_again_when_it_changes(artifacts: Artifacts) -> None:
    """A refusal holds for the contents it was about."""
    wav = speak(artifacts, "a")
    refuse(artifacts, wav, final=True)
    search = Search(artifacts)
    before = list(search.run())

    set_age(wav, 30)

    assert [] == before
    assert ["pending"] == [found.state for found in search.run()]


@pytest.mark.parametrize(
    ("hours", "version", "state"),
    [
        (1.0, record.app_version(), "quarantined"),
        (25.0, record.app_version(), "pending"),
        (-1.0, record.app_version(), "pending"),
        (1.0, "an earlier one", "pending"),
    ],
)
def test_a_recording_that_crashed_is_set_aside_for_a_day(
    artifacts: Artifacts, hours: float, version: str, state: str
) -> None:
    """F14: it is left alone for a day by one version; a clock that was wrong holds nothing up."""
    wav = speak(artifacts, "a")
    refuse(artifacts, wav, final=True)
    (known,) = record.read(artifacts, "session-1").values()
    then = datetime.now(UTC) - timedelta(hours=hours)
    sets = (replace(known.sets[0], reason="crashed"),)
    crashed = replace(known, sets=sets, app_version=version, finished_at=then.isoformat())
    record.record(artifacts, "session-1", crashed)

    assert [("a", state)] == left(artifacts)


def test_only_recordings_are_found(artifacts: Artifacts, tmp_path: Path) -> None:
    """Links, directories, other names, stray files and hidden sessions are no recordings."""
    wav = speak(artifacts, "a")
    (wav.parent / "link.wav").symlink_to(wav)
    (wav.parent / "directory.wav").mkdir()
    (wav.parent / ".hidden.wav").touch()
    (wav.parent / "notes.txt").touch()
    (wav.parent.parent / "turn_x").mkdir()
    (wav.parent.parent / "turn_x" / "b.wav").touch()
    shutil.copytree(wav.parent.parent, artifacts.sessions("tts") / ".hidden")
    (artifacts.sessions("tts") / "linked").symlink_to(wav.parent.parent)

    assert [("a", "pending")] == left(artifacts)


def test_a_recording_that_is_replaced_while_it_is_looked_at(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look is one moment: what is new has its new age, so that nobody reads half of it."""
    wav = speak(artifacts, "a")
    refuse(artifacts, wav, final=True)
    before_s = time.time()
    lstat = Path.lstat

    def look_and_replace(path: Path) -> os.stat_result:
        status = lstat(path)
        if path == wav:
            path.write_bytes(b"")
        return status

    search = Search(artifacts)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", look_and_replace)
        at_first = list(search.run())
    (then,) = search.run()

    assert [] == at_first
    assert ("pending", True) == (then.state, then.written_at_s > before_s - 1)


def test_a_recording_is_looked_at_again(artifacts: Artifacts) -> None:
    """A second look tells what has become of a recording since."""
    wav = speak(artifacts, "a")
    search = Search(artifacts)
    (found,) = search.run()

    publish(artifacts, wav)
    published = search.look_again(found)
    wav.unlink()

    assert published is not None
    assert "done" == published.state
    assert search.look_again(found) is None


@pytest.mark.faults
@pytest.mark.parametrize("contents", [b"", b"{", b"null", b"\xff", b'{"format": 99}'])
def test_a_corrupt_record_is_read_as_none_and_left_alone(
    artifacts: Artifacts, contents: bytes
) -> None:
    """F32: with a record that cannot be read the files decide; the search changes nothing."""
    publish(artifacts, speak(artifacts, "a"))
    speak(artifacts, "b")
    path = record.path_of(artifacts, "session-1")
    path.write_bytes(contents)

    assert {("a", "unrecorded"), ("b", "pending")} == set(left(artifacts))
    assert contents == path.read_bytes()
    assert ["session.json"] == [entry.name for entry in path.parent.glob("session*")]


def test_a_finished_session_is_not_opened_again(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session with nothing left is opened again only when something in it changes."""
    wav = speak(artifacts, "a")
    publish(artifacts, wav)
    waves = artifacts.turn("waves", "session-1", 1)
    recorded = record.path_of(artifacts, "session-1")
    for path in (wav.parent, wav.parent.parent, waves, recorded):
        set_age(path, 30)
    opened: list[str] = []
    original = record.read

    def read(artifacts: Artifacts, session_id: str) -> dict[str, record.Utterance]:
        opened.append(session_id)
        return original(artifacts, session_id)

    monkeypatch.setattr(record, "read", read)
    search = Search(artifacts)

    found = [list(search.run()) for _ in range(3)]
    count = len(opened)
    next(waves.iterdir()).unlink()

    assert [[], [], []] == found
    assert 1 == count
    assert ["pending"] == [item.state for item in search.run()]
    shutil.rmtree(wav.parent.parent)
    assert [] == list(search.run())


def test_a_session_that_has_just_changed_is_not_remembered(artifacts: Artifacts) -> None:
    """Directories' times are coarse: what changed a moment ago may change again unnoticed."""
    wav = speak(artifacts, "a")
    publish(artifacts, wav)
    search = Search(artifacts)
    list(search.run())
    recorded = record.path_of(artifacts, "session-1")
    status = recorded.stat()
    targets = paths.session_targets(wav, artifacts.root)
    times = targets[0].parent.stat()
    targets[0].unlink()
    os.utime(targets[0].parent, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.utime(recorded, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert ["pending"] == [item.state for item in search.run()]


def test_a_set_that_is_adopted_is_done(artifacts: Artifacts) -> None:
    """Recording a set that stands takes it from the list, also over a record that was wrong."""
    wav = speak(artifacts, "a")
    utterance = publish(artifacts, wav)
    wrong = replace(utterance, sets=(record.WaveSet(reason="timeout"),))
    record.record(artifacts, "session-1", wrong)
    (found,) = Search(artifacts).run()

    adopted = record.adopt(artifacts, "session-1", found.source, found.unrecorded)

    assert ("unrecorded", True) == (found.state, adopted)
    assert [] == left(artifacts)
    assert utterance.sets == record.load(artifacts, "session-1")[utterance.source].sets


def with_profiles(artifacts: Artifacts, *profiles: str) -> list[Found]:
    """Return what a search for V3 and further profiles finds."""
    return list(Search(artifacts, ("v3", *profiles)).run())


def publish_slots(artifacts: Artifacts, wav: Path, frames: int = 100) -> paths.Targets:
    """Give a recording two waves by the profile `slots`, which nobody records."""
    directory = paths.session_targets(wav, artifacts.root)[0].parent
    targets = paths.targets_in(directory, wav, "slots", 2)
    publishing.publish([np.arange(frames, dtype=np.int16)] * 2, 8000, targets, artifacts.temporary)
    return targets


def test_only_the_sets_that_are_wanted_and_missing_are_found(artifacts: Artifacts) -> None:
    """Without V3's all that are missing, else the others; of what is not wanted nothing."""
    done, nothing = speak(artifacts, "done"), speak(artifacts, "nothing", age_s=30)
    publish(artifacts, done)

    found = with_profiles(artifacts, "slots", "faraday")

    assert [("nothing", "pending"), ("done", "pending")] == [(f.path.stem, f.state) for f in found]
    assert [("v3", "slots", "faraday"), ("slots", "faraday")] == [f.missing for f in found]
    publish(artifacts, nothing)
    assert [] == left(artifacts)


def test_a_set_that_stands_is_recorded_and_then_done(artifacts: Artifacts) -> None:
    """While another one is missing, too; a part of a set is made again."""
    wav = speak(artifacts, "a")
    publish(artifacts, wav)
    targets = publish_slots(artifacts, wav)

    (alone,) = with_profiles(artifacts, "slots")
    (beside,) = with_profiles(artifacts, "faraday", "slots")
    record.adopt(artifacts, "session-1", alone.source, alone.unrecorded)
    (after,) = with_profiles(artifacts, "faraday", "slots")
    recorded = with_profiles(artifacts, "slots")
    targets[1].unlink()
    (cut,) = with_profiles(artifacts, "slots")

    assert ("unrecorded", ()) == (alone.state, alone.missing)
    assert ("pending", ("faraday",)) == (beside.state, beside.missing)
    assert {"slots": targets} == alone.unrecorded == beside.unrecorded
    assert ("pending", ("faraday",), {}) == (after.state, after.missing, after.unrecorded)
    assert [] == recorded
    assert ("pending", ("slots",), {}) == (cut.state, cut.missing, cut.unrecorded)


def test_sets_that_stand_without_v3_are_made_with_it(artifacts: Artifacts) -> None:
    """A record of an utterance begins with V3's: nothing is recorded before it."""
    wav = speak(artifacts, "a")
    publish_slots(artifacts, wav)

    (found,) = with_profiles(artifacts, "slots")

    assert (("v3", "slots"), {}) == (found.missing, found.unrecorded)


@pytest.mark.parametrize(
    ("reason", "hours", "identity", "state"),
    [
        ("error", 1.0, True, "refused"),
        ("crashed", 1.0, True, "quarantined"),
        ("error", 25.0, True, "pending"),
        ("publish_failed", 1.0, False, "pending"),
    ],
)
def test_a_profile_that_failed_is_set_aside_for_a_day(
    artifacts: Artifacts, reason: str, hours: float, identity: bool, state: str
) -> None:
    """If it failed for what the recording holds; if it may pass it is tried again."""
    wav = speak(artifacts, "a")
    done = publish(artifacts, wav)
    status = wav.stat()
    failed = record.WaveSet(
        profile="tides",
        reason=reason,
        source_size=status.st_size if identity else None,
        source_mtime_ns=status.st_mtime_ns if identity else None,
    )
    record.record(
        artifacts,
        "session-1",
        replace(
            done,
            sets=(*done.sets, failed),
            app_version=record.app_version(),
            finished_at=(datetime.now(UTC) - timedelta(hours=hours)).isoformat(),
        ),
    )

    found = with_profiles(artifacts, "tides")
    others = with_profiles(artifacts, "tides", "slots")
    set_age(wav, 30)
    changed = with_profiles(artifacts, "tides")

    assert ([] if state == "refused" else [state]) == [one.state for one in found]
    expected = {"pending": ("tides", "slots")}.get(state, ("slots",))
    assert [expected] == [one.missing for one in others]
    assert [("tides",)] == [one.missing for one in changed]
    assert [] == left(artifacts)
