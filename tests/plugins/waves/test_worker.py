"""The task of a worker, called in this process: what it reports and what it leaves."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from plugins.waves import profiles, worker
from plugins.waves.process import Report
from plugins.waves.worker import Order


def order(tmp_path: Path, source: Path, root: Path | None = None) -> Order:
    """Return what the plugin would send for `source`."""
    return Order(
        wav_path=str(source),
        directory=str(tmp_path / "out"),
        temporary=str(tmp_path / ".tmp"),
        root=None if root is None else str(root),
        max_duration_s=1.0,
        engine="exact",
    )


def sets_of(report: Report) -> tuple[dict[str, Any], ...]:
    """Return the sets that are reported."""
    sets: Any = report.data["sets"]
    return tuple(sets)


def tone(path: Path, duration_s: float = 0.5) -> Path:
    """Write a tone; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(duration_s * 16_000)) / 16_000
    sf.write(path, 0.3 * np.sin(2 * np.pi * 150 * times), 16_000)
    return path


def test_a_recording_is_published_and_reported(tmp_path: Path) -> None:
    """Three files stand in their place, and the report names them with every figure."""
    report = worker.decompose(order(tmp_path, tone(tmp_path / "a.wav")))

    assert report.reason == ""
    (v3,) = sets_of(report)
    for path, size, sha256, peak, rms in v3["files"]:
        assert Path(path).stat().st_size == size == 44 + 2 * 4000
        assert len(sha256) == 64
        samples, _ = sf.read(path)
        assert [np.max(np.abs(samples)), np.sqrt(np.mean(samples**2))] == pytest.approx(
            [peak, rms], abs=1e-6
        )
    assert report.data["frames"] == 4000
    assert (report.data["duration_s"], report.data["sample_rate"]) == (0.5, 8000)
    assert not list((tmp_path / ".tmp").iterdir())


@pytest.mark.parametrize("case", ["missing", "too long", "outside"])
def test_a_refused_recording_is_reported_with_its_value(tmp_path: Path, case: str) -> None:
    """A recording that is refused is invalid audio with the reader's words, and leaves nothing."""
    inside = tmp_path / "root"
    source = inside / "a.wav"
    if case == "too long":
        tone(source, duration_s=1.5)
    elif case == "outside":
        inside.mkdir()
        source.symlink_to(tone(tmp_path / "elsewhere.wav"))

    report = worker.decompose(order(tmp_path, source, root=inside))

    words = {"missing": "does not exist", "too long": "1.5 s", "outside": "leads out of"}
    assert report.reason == "invalid_audio"
    assert words[case] in report.message
    assert not (tmp_path / "out").exists()


def test_a_failure_to_publish_is_reported(tmp_path: Path) -> None:
    """If the waves cannot be put in their place, the reason is the disk's."""
    (tmp_path / "out").write_text("in the way")

    report = worker.decompose(order(tmp_path, tone(tmp_path / "a.wav")))

    assert report.reason == "publish_failed"
    assert "cannot publish" in report.message


@pytest.mark.parametrize(
    ("first", "replaced_pid", "swept"), [(True, None, 2), (False, 11, 1), (False, None, 0)]
)
def test_warming_up_sweeps_what_dead_workers_left(
    tmp_path: Path, first: bool, replaced_pid: int | None, swept: int
) -> None:
    """The first one sweeps all but what the server publishes, another what its predecessor left."""
    for pid in (11, 12, os.getppid()):
        (tmp_path / f".waves-{pid}-abc-1.wav").write_bytes(b"half")

    report = worker.warm_up(str(tmp_path), "exact", None, first, replaced_pid)

    assert report.reason == ""
    assert report.data["swept"] == swept
    assert len(list(tmp_path.iterdir())) == 3 - swept


def test_a_profile_with_too_many_waves_fails_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten waves have no names; V3's stand, and the report says why there is nothing else."""
    ten = profiles.Profile(lambda voice, _: np.zeros((10, voice.samples.size)), lambda _: (0,) * 10)
    monkeypatch.setattr(profiles, "find", lambda _: ten)
    asked = replace(order(tmp_path, tone(tmp_path / "a.wav")), profiles=(("v3", {}), ("ten", {})))

    report = worker.decompose(asked)

    v3, failed = sets_of(report)
    assert ("v3", 3) == (v3["profile"], len(v3["files"]))
    assert ("ten", "error", ()) == (failed["profile"], failed["reason"], failed["files"])
    assert "ProfileError: ten has 10 waves: 1 to 9 can be written" == failed["message"]
    assert (tmp_path / "a.wav").stat().st_size == failed["source_size"]
    assert 3 == len(list((tmp_path / "out").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_body_that_cannot_be_written_is_a_failure_of_the_disk(tmp_path: Path) -> None:
    """What was made for another machine would not be whole: none of it is reported."""
    asked = replace(order(tmp_path, tone(tmp_path / "a.wav")), body="/dev/full")

    report = worker.decompose(asked)

    assert ("publish_failed", {}) == (report.reason, dict(report.data))
    assert "cannot write waves: ENOSPC" in report.message


def test_a_second_attempt_writes_the_body_anew(tmp_path: Path) -> None:
    """The samples of all waves are in it once, whatever an attempt that crashed has left."""
    body = tmp_path / "body"
    asked = replace(
        order(tmp_path, tone(tmp_path / "a.wav")),
        profiles=(("v3", {}), ("slots", {})), body=str(body),
    )  # fmt: skip
    body.write_bytes(b"half")

    report = worker.decompose(asked)

    assert [3, 2] == [len(one["files"]) for one in sets_of(report)]
    assert 5 * 4000 * 2 == body.stat().st_size
    assert not (tmp_path / "out").exists()


def test_the_water_of_a_wave_is_an_order_of_its_own(tmp_path: Path) -> None:
    """It is told from the order of a recording; a file that is not there is refused."""
    root = tmp_path / "root"
    source = tone(root / "a.wav")

    told = worker.do(worker.decompose, (str(source), str(root)))
    missing = worker.do(worker.decompose, (str(root / "b.wav"), str(root)))
    waves = worker.do(worker.decompose, order(tmp_path, source, root))

    assert ("", 30) == (told.reason, told.data["per_second"])
    assert "invalid_audio" == missing.reason
    assert ("", 4000) == (waves.reason, waves.data["frames"])
