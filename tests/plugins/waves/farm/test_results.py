"""What a worker on another machine may send, and what is refused of it."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from plugins.waves import worker
from plugins.waves.errors import FarmError
from plugins.waves.farm import results, wire
from tests.plugins.waves.farm.farms import Asked, recording

FRAMES = 4000
NAMES = ("rmse", "nrmse", "snr_db", "envelope_correlation", "voiced_ratio")
FIGURES = {"clipped_samples": 0, **dict.fromkeys(NAMES, 0.5)}
V3: dict[str, Any] = {"profile": "v3", "files": 3, **FIGURES}
IDENTITY = {"source_size": 1, "source_mtime_ns": 2}
NUMBER = "0123456789abcdef0123456789abcdef"
ACK = "$JS.ACK.RR_WAVES_JOBS.36d699c06568.1.1.1.17959845"


def result(**fields: Any) -> wire.Result:
    """Return a result as it is after its way."""
    good = {"frames": FRAMES, "warnings": ["odd"], "sets": [V3], "reason": ""}
    header = {"id": NUMBER, "worker": NUMBER, "attempt": 1, "ack": ACK, **good, **fields}
    head = json.dumps(header).encode()
    return wire.unpack(wire.Result, struct.pack(">I", len(head)) + head)[0]


def waves(count: int = 3, frames: int = FRAMES) -> bytes:
    """Return samples, different ones in each wave."""
    return np.concatenate([np.full(frames, n + 1, "<i2") for n in range(count)]).tobytes()


@pytest.fixture
def order(tmp_path: Path) -> worker.Order:
    """Return the order of a recording that is there."""
    return Asked(recording(tmp_path / "a.wav")).begin(0)


def test_a_result_is_put_in_place(order: worker.Order) -> None:
    """Three files stand there, and the report has what was measured of them here."""
    report = results.publish(order, FRAMES, IDENTITY, result(), waves())

    (made,) = cast("Any", report.data["sets"])
    assert "" == report.reason
    assert ("odd",) == report.data["warnings"]
    assert 0.5 == report.data["duration_s"]
    assert [1 / 32768, 2 / 32768, 3 / 32768] == pytest.approx(
        [one[3] for one in made["files"]], abs=1e-6
    )
    assert all(Path(path).parent == Path(order.directory) for path, *_ in made["files"])


@pytest.mark.parametrize(
    "data",
    [
        {"frames": 3999},
        {"frames": "4000"},
        {"frames": True},
        {"attempt": 0},
        {"attempt": 5},
        {"worker": "../" + NUMBER[3:]},
        {"ack": "$JS.ACK.OTHER.1.1.1.1.1"},
        {"ack": "$JS.API.STREAM.DELETE.RR_WAVES_JOBS"},
        {"ack": "x." + ACK},
        {"ack": ACK + " 5"},
        {"ack": ACK + ".>"},
        {"parts": -1},
        {"parts": 10**9},
        {"path": "/etc/passwd"},
        {"reason": "no"},
        {"reason": None},
        {"message": 1},
        {"message": "x" * 10**4},
        {"sample_rate": 44_100},
        {"warnings": "odd"},
        {"warnings": [1]},
        {"warnings": ["odd"] * 21},
        {"sets": None},
        {"sets": []},
        {"sets": ["v3"]},
        {"sets": [V3, V3]},
        {"sets": [V3 | {"profile": "../../v3"}]},
        {"sets": [V3 | {"profile": ["v3"]}]},
        {"sets": [V3 | {"files": 2}]},
        {"sets": [V3 | {"files": 10}]},
        {"sets": [V3 | {"files": True}]},
        {"sets": [V3 | {"files": ["/etc/passwd"] * 3}]},
        {"sets": [V3 | {"rmse": float("nan")}]},
        {"sets": [V3 | {"rmse": float("inf")}]},
        {"sets": [V3 | {"rmse": 10**400}]},
        {"sets": [V3 | {"rmse": "0.1"}]},
        {"sets": [V3 | {"snr_db": None}]},
        {"sets": [V3 | {"clipped_samples": True}]},
        {"sets": [{"profile": "v3", "files": 3}]},
        {"sets": [V3 | {"targets": [0, 0]}]},
        {"sets": [V3 | {"targets": [0, 0, -1]}]},
        {"sets": [V3 | {"targets": [0, 0, "1"]}]},
        {"sets": [V3 | {"reason": "error"}]},
        {"sets": [{"profile": "v3", "files": 0}]},
        {"sets": [{"profile": "v3", "files": 0, "reason": "error"}]},
    ],
    ids=str,
)
def test_a_result_that_is_none_is_refused(order: worker.Order, data: dict[str, Any]) -> None:
    """Shape, length, rate, size and every figure are checked before a file is written."""
    with pytest.raises(FarmError):
        results.publish(order, FRAMES, IDENTITY, result(**data), waves())

    assert not Path(order.directory).exists()


@pytest.mark.parametrize("body", [b"", waves(2), waves(4), waves()[:-1], waves(frames=4001)])
def test_waves_of_another_size_are_refused(order: worker.Order, body: bytes) -> None:
    """A body has the samples of each wave, and nothing else."""
    with pytest.raises(FarmError, match="bytes for 3 waves"):
        results.publish(order, FRAMES, IDENTITY, result(), body)


def test_nothing_is_written_for_a_recording_without_a_length(order: worker.Order) -> None:
    """What we cannot read the header of has no waves, whatever a worker says."""
    with pytest.raises(FarmError):
        results.publish(order, 0, IDENTITY, result(frames=0), b"")


def test_a_reason_is_passed_on_with_our_own_identity(order: worker.Order) -> None:
    """Which contents are refused for good is said with the file's time and size here."""
    said: dict[str, Any] = {"reason": "invalid_audio", "message": "no\x1b[31m", "sets": []}

    final = results.publish(order, FRAMES, IDENTITY, result(**said, is_final=True), b"")
    passing = results.publish(order, FRAMES, IDENTITY, result(**said), b"")

    assert ("invalid_audio", "no [31m", IDENTITY) == (final.reason, final.message, final.data)
    assert {} == passing.data


def test_a_further_profile_may_fail(order: worker.Order) -> None:
    """V3 stands, and the other set says why it has no waves, with the identity here."""
    failed = {"profile": "tide", "files": 0, "reason": "error", "message": "low"}
    both = replace(order, profiles=(*order.profiles, ("tide", {})))

    report = results.publish(
        both, FRAMES, IDENTITY, result(sets=[V3, failed | {"is_final": True}]), waves()
    )

    first, second = cast("Any", report.data["sets"])
    assert 3 == len(first["files"])
    assert {**failed, "files": (), **IDENTITY} == second


def test_waves_of_a_recording_that_is_gone_are_dropped(order: worker.Order) -> None:
    """Nobody wants them any more."""
    Path(order.wav_path).unlink()

    report = results.publish(order, FRAMES, IDENTITY, result(), waves())

    assert "invalid_audio" == report.reason
    assert not Path(order.directory).exists()


def test_waves_that_cannot_be_written_are_a_failure_of_the_disk(order: worker.Order) -> None:
    """The reason is that of a worker of this machine."""
    Path(order.directory).write_text("a file where the folder has to be")

    report = results.publish(order, FRAMES, IDENTITY, result(), waves())

    assert "publish_failed" == report.reason


@pytest.mark.parametrize(("seconds", "frames"), [(0.5, 4000), (0.1, 800), (1 / 3, 2667)])
def test_the_length_of_the_waves_is_known_from_the_header(
    tmp_path: Path, seconds: float, frames: int
) -> None:
    """It is that of the recording at 8000 Hz."""
    path = recording(tmp_path / "a.wav", seconds=seconds)

    assert frames == results.frames_of(path.read_bytes())
    assert frames == worker.decompose(Asked(path).begin(0)).data["frames"]
    assert 0 == results.frames_of(b"RIFF")
