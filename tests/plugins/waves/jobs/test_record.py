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
        source=artifacts.relative(wav), status="written", app_version="0.1.0",
        finished_at=record.now(), files=entries(artifacts, files), duration_s=0.0125,
        sample_rate=8_000, rmse=0.05, clipped_samples=3, voiced_ratio=0.6, queued_ms=1.5,
        running_ms=120.0,
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

    assert read.files == tuple(replace(f, peak=None, rms=None) for f in utterance.files)


def test_adopted_waves_are_recorded_with_their_levels(artifacts: Artifacts) -> None:
    """Waves that nobody recorded are recorded with size, SHA-256, peak and RMS."""
    utterance = published(artifacts)
    targets = paths.session_targets(artifacts.root / utterance.source, artifacts.root)

    assert record.adopt(artifacts, SESSION, utterance.source, targets)

    assert record.read(artifacts, SESSION)[utterance.source].files == utterance.files


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
    assert {k: v for k, v in entry.items() if k != "files"} == {
        k: v for k, v in asdict(utterance).items() if k not in {"files", "profiles"}
    }
    assert entry["algorithm"] == "v3"
    assert list(artifacts.temporary.iterdir()) == []


def test_utterances_are_kept_in_order_and_replaced_by_source(artifacts: Artifacts) -> None:
    """Each source has one entry, its newest, and the newest entry stands last."""
    first, second = published(artifacts, 1), published(artifacts, 2)
    failed = replace(first, status="failed", files=(), reason="timeout", message="60 s")
    record.record(artifacts, SESSION, failed)
    record.record(artifacts, SESSION, second)

    record.record(artifacts, SESSION, first)

    assert record.load(artifacts, SESSION) == {second.source: second, first.source: first}
    assert list(record.load(artifacts, SESSION)) == [second.source, first.source]


def test_the_record_is_bounded(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest entries go when there are too many, and endless messages are cut."""
    monkeypatch.setattr(record, "MAX_UTTERANCES", 3)
    utterance = replace(published(artifacts), message="x" * 10_000)

    for n in range(5):
        record.record(artifacts, SESSION, replace(utterance, source=f"tts/{n}.wav"))

    found = record.load(artifacts, SESSION)
    assert list(found) == ["tts/2.wav", "tts/3.wav", "tts/4.wav"]
    assert all(len(u.message or "") == record.MAX_MESSAGE_CHARACTERS for u in found.values())


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
    assert found[first.source].files == first.files
    assert (found[first.source].status, found[first.source].rmse) == ("written", None)
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
    (artifacts.root / second.files[1].path).unlink()
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
