"""The record of a session: what it holds, and that nothing can break it for long."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from backend.errors import ArtifactError
from backend.storage import Artifacts
from plugins.waves.files import paths, publishing
from plugins.waves.jobs import record
from tests.plugins.waves.speeches import entries

SESSION = "2026-11-22T20-15-00_ab12"


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Artifacts with the speech of one session."""
    made = Artifacts(tmp_path / "artifacts")
    made.turn("tts", SESSION, 1).mkdir(parents=True)
    return made


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """What is logged."""
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured


def published(artifacts: Artifacts, slot: int = 1) -> record.Utterance:
    """Publish the waves of one utterance, and return what is to be recorded."""
    wav = artifacts.turn("tts", SESSION, 1) / f"slot-{slot}_gpt-5.2_calm.wav"
    waves = [np.arange(100 * n, dtype=np.int16) % 7 for n in (1, 1, 1)]
    files = publishing.publish(
        waves, 8_000, paths.session_targets(wav, artifacts.root), artifacts.temporary
    )
    return record.Utterance(
        source=artifacts.relative(wav), app_version="0.1.0",
        finished_at=record.now(), sets=(record.WaveSet(files=entries(artifacts, files), rmse=0.05,
        nrmse=0.9, clipped_samples=3, voiced_ratio=0.6),), duration_s=0.0125, sample_rate=8_000,
        queued_ms=1.5, running_ms=120.0,
    )  # fmt: skip


def test_a_record_without_levels_is_read(artifacts: Artifacts) -> None:
    """A record of an earlier version, which has neither peak nor RMS, is read."""
    utterance = published(artifacts)
    record.record(artifacts, SESSION, utterance)
    path = record.path_of(artifacts, SESSION)
    data = json.loads(path.read_bytes())
    for file in data["utterances"][0]["files"]:
        del file["peak"], file["rms"]
    path.write_text(json.dumps(data))

    (read,) = record.read(artifacts, SESSION).values()

    assert read.sets[0].files == tuple(
        replace(f, peak=None, rms=None) for f in utterance.sets[0].files
    )


def test_adopted_waves_are_recorded_with_their_levels(artifacts: Artifacts) -> None:
    """Waves that nobody recorded are recorded with size, SHA-256, peak and RMS."""
    utterance = published(artifacts)
    targets = paths.session_targets(artifacts.root / utterance.source, artifacts.root)

    assert record.adopt(artifacts, SESSION, utterance.source, {"v3": targets})

    (one,) = record.read(artifacts, SESSION)[utterance.source].sets
    assert one.files == utterance.sets[0].files


def test_an_utterance_is_recorded_with_its_files(artifacts: Artifacts) -> None:
    """What the record names is there, with that size and that SHA-256."""
    utterance = published(artifacts)

    assert record.record(artifacts, SESSION, utterance)

    data = json.loads(record.path_of(artifacts, SESSION).read_bytes())
    assert (data["format"], data["session_id"]) == (1, SESSION)
    (entry,) = data["utterances"]
    assert len(entry["files"]) == 3
    for file in entry["files"]:
        contents = (artifacts.root / file["path"]).read_bytes()
        assert file["path"].startswith(f"waves/sessions/{SESSION}/turn_1/slot-1_")
        assert file["size"] == len(contents)
        assert file["sha256"] == hashlib.sha256(contents).hexdigest()
    assert "profiles" not in entry  # only V3 was made
    first = asdict(utterance.sets[0]) | {"algorithm": "v3", "status": "written"}
    assert {k: v for k, v in entry.items() if k != "files"} == {
        k: v
        for k, v in {**asdict(utterance), **first}.items()
        if k not in {"files", "sets", "profile", "targets"}
    }
    assert list(artifacts.temporary.iterdir()) == []


def test_utterances_are_kept_in_order_and_replaced_by_source(artifacts: Artifacts) -> None:
    """Each source has one entry, its newest, and the newest entry stands last."""
    first, second = published(artifacts, 1), published(artifacts, 2)
    no_waves = record.WaveSet(reason="timeout", message="60 s")
    failed = replace(first, sets=(no_waves,))
    record.record(artifacts, SESSION, failed)
    record.record(artifacts, SESSION, second)

    record.record(artifacts, SESSION, first)

    assert record.load(artifacts, SESSION) == {second.source: second, first.source: first}
    assert list(record.load(artifacts, SESSION)) == [second.source, first.source]


def test_the_record_is_bounded(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest entries go when there are too many, and endless messages are cut."""
    monkeypatch.setattr(record, "MAX_UTTERANCES", 3)
    utterance = replace(published(artifacts), sets=(record.WaveSet(message="x" * 10_000),))

    for n in range(5):
        record.record(artifacts, SESSION, replace(utterance, source=f"tts/{n}.wav"))

    found = record.load(artifacts, SESSION)
    assert list(found) == ["tts/2.wav", "tts/3.wav", "tts/4.wav"]
    assert all(
        len(u.sets[0].message or "") == record.MAX_MESSAGE_CHARACTERS for u in found.values()
    )


@pytest.mark.faults
def test_a_deleted_session_is_not_brought_back(artifacts: Artifacts, logs: list[Any]) -> None:
    """F26: nothing is recorded for a session whose speech is gone."""
    utterance = published(artifacts)
    shutil.rmtree(artifacts.root / "tts/sessions" / SESSION)
    shutil.rmtree(artifacts.root / "waves/sessions" / SESSION)

    assert not record.record(artifacts, SESSION, utterance)

    assert not (artifacts.root / "waves/sessions" / SESSION).exists()
    assert [log["event"] for log in logs] == ["session gone, nothing recorded"]


@pytest.mark.faults
@pytest.mark.parametrize(
    "contents",
    [
        b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe\x00", b'{"format": 2, "utterances": []}',
        b'{"format": 1, "utterances": [{}]}', b'{"format": 1, "utterances": 7}',
        b'{"format": 1, "utterances": [{"source": "a", "files": [], "surprise": 1}]}',
        b'{"format": 1, "utterances": [{"source": "a", "files": [{"path": 1}]}]}',
        b'{"format": 1, "utterances": ["a"]}',
        b'{"format": 1, "utterances": [{"source": "a", "files": [], "profiles": ["a"]}]}',
        b"[" * 100_000, b" " * (record.MAX_BYTES + 1),
    ],
)  # fmt: skip
def test_a_corrupt_record_is_moved_aside_and_made_again(
    contents: bytes, artifacts: Artifacts, logs: list[Any]
) -> None:
    """F32: a record that cannot be read is kept aside, said once, and made from the files."""
    first, second = published(artifacts, 1), published(artifacts, 2)
    path = record.path_of(artifacts, SESSION)
    path.write_bytes(contents)

    record.record(artifacts, SESSION, second)

    found = record.load(artifacts, SESSION)
    (made_again,) = found[first.source].sets
    assert made_again.files == first.sets[0].files
    assert (found[first.source].status, made_again.rmse) == ("written", None)
    assert found[second.source] == second
    assert path.with_name("session.json.corrupt-1").read_bytes() == contents
    (warning,) = logs
    assert warning["log_level"] == "warning"
    assert warning["moved_to"] == "session.json.corrupt-1"
    assert warning["reason"].strip()


@pytest.mark.faults
def test_corrupt_records_are_numbered_and_limited(artifacts: Artifacts) -> None:
    """F32: each corrupt record gets a number of its own, up to ten."""
    utterance = published(artifacts)
    path = record.path_of(artifacts, SESSION)

    for n in range(12):
        path.write_bytes(b"%d broken" % n)
        record.record(artifacts, SESSION, utterance)

    names = {p.name for p in path.parent.glob("session.json*")}
    assert names == {"session.json", *(f"session.json.corrupt-{n}" for n in range(1, 11))}
    assert path.with_name("session.json.corrupt-10").read_bytes() == b"11 broken"


@pytest.mark.faults
def test_a_partial_set_is_not_made_again_into_the_record(artifacts: Artifacts) -> None:
    """F32: a record made from the files names complete sets only."""
    first, second = published(artifacts, 1), published(artifacts, 2)
    (artifacts.root / second.sets[0].files[1].path).unlink()
    record.path_of(artifacts, SESSION).write_bytes(b"broken")

    assert list(record.load(artifacts, SESSION)) == [first.source]


@pytest.mark.faults
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_record_that_cannot_be_written_leaves_the_old_one(
    call: str, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F22: if the disk fails, the record before still stands and nothing is left over."""
    first, second = published(artifacts, 1), published(artifacts, 2)
    record.record(artifacts, SESSION, first)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            record.record(artifacts, SESSION, second)

    assert list(record.load(artifacts, SESSION)) == [first.source]
    assert list(artifacts.temporary.iterdir()) == []


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let this process open nothing more."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.faults
@pytest.mark.parametrize("contents", [None, b"broken"], ids=["whole", "corrupt"])
def test_a_record_that_cannot_be_opened_is_not_corrupt(
    artifacts: Artifacts, logs: list[Any], contents: bytes | None
) -> None:
    """F34: without a free descriptor a record is neither moved aside nor made again."""
    first, second = published(artifacts, 1), published(artifacts, 2)
    record.record(artifacts, SESSION, first)
    path = record.path_of(artifacts, SESSION)
    if contents is not None:
        path.write_bytes(contents)
    before = path.read_bytes()

    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        record.record(artifacts, SESSION, second)

    assert [path] == list(path.parent.glob("session.json*"))
    assert before == path.read_bytes()
    assert [] == logs


@pytest.mark.parametrize("session_id", ["..", "", "a/b", ".hidden", "a\0b"])
def test_a_session_id_is_a_plain_name(session_id: str, artifacts: Artifacts) -> None:
    """A session id that could lead elsewhere is refused."""
    with pytest.raises(ArtifactError):
        record.record(artifacts, session_id, published(artifacts))


def test_a_session_without_a_record_is_empty(artifacts: Artifacts, logs: list[Any]) -> None:
    """A record that is not there yet is no reason for a warning."""
    assert record.load(artifacts, SESSION) == {}
    assert logs == []


def slots_set(**fields: Any) -> record.WaveSet:
    """Return a set of a further profile."""
    entry = record.WaveEntry("waves/sessions/s/turn_1/a_slots_wave1.wav", 244, "1" * 64, 0.5, 0.25)
    return record.WaveSet(profile="slots", **{"files": (entry,), "targets": (1,), **fields})


def test_the_sets_of_all_profiles_are_recorded(artifacts: Artifacts) -> None:
    """V3's stands in the fields of the utterance, as it always did; the others in `profiles`."""
    utterance = published(artifacts)
    sets = (*utterance.sets, slots_set(nrmse=0.9))
    record.record(artifacts, SESSION, replace(utterance, sets=sets))

    (entry,) = json.loads(record.path_of(artifacts, SESSION).read_bytes())["utterances"]

    assert (3, "v3") == (len(entry["files"]), entry["algorithm"])
    assert ["slots"] == [one["profile"] for one in entry["profiles"]]
    assert sets == record.read(artifacts, SESSION)[utterance.source].sets


def test_a_set_that_is_made_later_joins_those_that_stand(artifacts: Artifacts) -> None:
    """It takes the place of its own profile only; V3 stays first, and its figures are kept."""
    utterance = published(artifacts)
    failed = slots_set(files=(), targets=(), reason="error", message="no")
    record.record(artifacts, SESSION, replace(utterance, sets=(*utterance.sets, failed)))

    later = replace(utterance, sets=(slots_set(),), duration_s=None)
    recorded = record.record(artifacts, SESSION, later)

    assert recorded == replace(utterance, sets=(*utterance.sets, slots_set()))
    assert recorded == record.read(artifacts, SESSION)[utterance.source]


def test_v3_is_first_whatever_was_recorded_before_it(artifacts: Artifacts) -> None:
    """Also after a record was lost while another set was made."""
    utterance = published(artifacts)
    record.record(artifacts, SESSION, replace(utterance, sets=(slots_set(),)))

    recorded = record.record(artifacts, SESSION, utterance)

    assert recorded is not None
    assert ["v3", "slots"] == [one.profile for one in recorded.sets]


def test_adopted_waves_join_those_that_are_recorded(artifacts: Artifacts) -> None:
    """A set that nobody recorded is recorded beside V3's, whose figures stay."""
    utterance = published(artifacts)
    record.record(artifacts, SESSION, utterance)
    v3 = paths.session_targets(artifacts.root / utterance.source, artifacts.root)
    wave = v3[0].with_name(v3[0].name.replace("_v3_", "_slots_"))
    shutil.copy(v3[0], wave)

    assert record.adopt(artifacts, SESSION, utterance.source, {"slots": (wave,)})

    first, slots = record.read(artifacts, SESSION)[utterance.source].sets
    assert utterance.sets == (first,)
    assert artifacts.relative(wave) == slots.files[0].path
    assert utterance.sets[0].files[0].sha256 == slots.files[0].sha256


def test_what_another_version_says_of_a_profile_is_left_out(artifacts: Artifacts) -> None:
    """A field that nobody knows here costs neither the set nor the record."""
    utterance = published(artifacts)
    record.record(artifacts, SESSION, replace(utterance, sets=(*utterance.sets, slots_set())))
    path = record.path_of(artifacts, SESSION)
    data = json.loads(path.read_bytes())
    data["utterances"][0]["profiles"][0]["problem"] = "of an earlier version"
    path.write_text(json.dumps(data))

    assert slots_set() == record.read(artifacts, SESSION)[utterance.source].sets[1]
