"""`waves decompose` on files and folders."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from typer.testing import Result

from plugins.waves import worker
from plugins.waves.cli import progress as terminal
from tests.command import invoke
from tests.patience import LIMIT_S, SOON_S
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.pool.pools import Gate, wait_until_gone

ROOT = Path(__file__).parents[3]


def decompose(*arguments: str) -> Result:
    """Run the command in this process."""
    return invoke("waves", "decompose", *arguments)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers do what the name of a recording says instead of a real decomposition."""
    monkeypatch.setattr(worker, "decompose", jobs.decompose)
    monkeypatch.setattr(worker, "warm_up", jobs.warm_up_like_waves)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with recordings, other files and somebody's waves."""
    path = tmp_path / "in"
    (path / "sub").mkdir(parents=True)
    for name in ("a.wav", "sub/b.WAV", "notes.txt", "a_v3_wave1.wav"):
        (path / name).touch()
    return path


@pytest.mark.e2e
def test_real_recordings_and_a_bad_one(tmp_path: Path) -> None:
    """Good files get their waves, a bad one its reason; the exit code is 1, stdout pure JSON."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    times = np.arange(11025) / 22050
    sf.write(source / "tone.wav", 0.3 * np.sin(2 * np.pi * 150 * times), 22050)
    (source / "broken.wav").write_bytes(b"no audio")

    result = decompose(str(source), "--out", str(out), "--workers", "1", "--json")

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["done"], report["failed"]) == (1, 1)
    broken, tone = report["files"]
    assert (broken["ok"], broken["reason"], broken["files"]) == (False, "invalid_audio", [])
    assert (tone["ok"], tone["duration_s"], tone["clipped_samples"]) == (True, 0.5, 0)
    assert [sf.info(file).frames for file in tone["files"]] == [4000] * 3
    assert sorted(path.name for path in out.iterdir()) == [
        f"tone_v3_wave{n}.wav" for n in (1, 2, 3)
    ]


@pytest.mark.e2e
def test_profiles_are_made_by_name(tmp_path: Path) -> None:
    """Each has a row with its files; an unknown one is refused before anything is made."""
    times = np.arange(16_000) / 8000
    sf.write(tmp_path / "slot-6_gpt_calm.wav", 0.3 * np.sin(2 * np.pi * 150 * times), 8000)
    named = (str(tmp_path / "slot-6_gpt_calm.wav"), "--out", str(tmp_path / "out"))

    result = decompose(*named, "--profile", "slots", "--profile", "faraday", "--json")
    unknown = decompose(*named, "--profile", "tides")

    rows = json.loads(result.stdout)["files"]
    assert [("slots", 2), ("faraday", 1)] == [(row["profile"], len(row["files"])) for row in rows]
    assert 3 == len(list((tmp_path / "out").glob("slot-6_gpt_calm_*_wave?.wav")))
    assert (2, True) == (unknown.exit_code, "no profile 'tides': choose" in unknown.stderr)


@pytest.mark.usefixtures("stand_in")
def test_a_folder_keeps_its_shape(folder: Path, tmp_path: Path) -> None:
    """Folders are searched; what is found keeps its place; waves and other files are left out."""
    result = decompose(str(folder), "--out", str(tmp_path / "out"))

    assert result.exit_code == 0
    found = sorted(path.relative_to(tmp_path / "out") for path in tmp_path.glob("out/**/*.wav"))
    assert found == [Path(f"a_v3_wave{n}.wav") for n in (1, 2, 3)] + [
        Path(f"sub/b_v3_wave{n}.wav") for n in (1, 2, 3)
    ]
    assert "3 of v3" in result.stdout
    assert "decomposing" in result.stderr


@pytest.mark.usefixtures("stand_in")
def test_a_file_named_twice_is_done_once(folder: Path, tmp_path: Path) -> None:
    """A file given by itself and by its folder is one file."""
    arguments = [str(folder / "a.wav"), str(folder), "--out", str(tmp_path / "out"), "--json"]

    result = decompose(*arguments)

    assert json.loads(result.stdout)["done"] == 2


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("named", "places"),
    [
        (["in", "in/sub"], {"a", "sub/b"}),
        (["in/sub", "in"], {"a", "b"}),
        (["in/a.wav", "in/../in/a.wav", "in/sub/b.WAV"], {"a", "b"}),
        (["in", "linked"], {"a", "sub/b"}),
        (["in", "again.wav"], {"a", "sub/b", "again"}),
        (["in/sub", "linked/sub", "linked/sub/b.WAV"], {"b"}),
    ],
)
def test_every_recording_gets_files_of_its_own(
    folder: Path, tmp_path: Path, named: list[str], places: set[str]
) -> None:
    """However recordings are named, as many as are told of have three files each."""
    (tmp_path / "linked").symlink_to(folder)
    (tmp_path / "again.wav").symlink_to(folder / "a.wav")
    arguments = [str(tmp_path / name) for name in named]

    result = decompose(*arguments, "--out", str(tmp_path / "out"), "--json")

    report = json.loads(result.stdout)
    assert (0, len(places)) == (result.exit_code, report["done"])
    files = [file for row in report["files"] for file in row["files"]]
    assert len(set(files)) == len(files) == 3 * len(places)
    found = {str(path.relative_to(tmp_path / "out")) for path in tmp_path.glob("out/**/*.wav")}
    assert {f"{place}_v3_wave{n}.wav" for place in places for n in (1, 2, 3)} == found


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("first", "second", "named", "out"),
    [
        ("one/a.wav", "two/a.wav", ["one", "two"], "out"),
        ("one/a.wav", "one/a.WAV", ["one"], "out"),
        ("one/A.wav", "two/a.wav", ["one", "two/a.wav"], "out"),
        ("one/Sub/a.wav", "two/sub/a.wav", ["one", "two"], "out"),
        ("one/\u00e4.wav", "one/a\u0308.wav", ["one"], "out"),
        ("one/a.wav", "two/a_v3_wave2.wav", ["one/a.wav", "two/a_v3_wave2.wav"], "two"),
    ],
)
def test_what_would_collide_is_named_and_nothing_is_done(
    tmp_path: Path, first: str, second: str, named: list[str], out: str
) -> None:
    """Two recordings of which one would lose its files are both named, with exit code 2."""
    for name in (first, second):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    before = sorted(tmp_path.rglob("*"))
    arguments = [str(tmp_path / name) for name in named]

    result = decompose(*arguments, "--out", str(tmp_path / out))

    assert 2 == result.exit_code
    assert all(str(tmp_path / name) in result.stderr for name in (first, second))
    assert before == sorted(tmp_path.rglob("*"))


def test_bad_usage_exits_with_2(folder: Path, tmp_path: Path) -> None:
    """Nothing to do, a clash of names, a missing path, a wrong option: 2, and nothing is made."""
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "out")]
    clash = tmp_path / "other" / "a.wav"
    clash.parent.mkdir()
    clash.touch()
    blocked = tmp_path / "file"
    blocked.touch()
    cases = [
        [str(tmp_path / "empty"), *out],
        [str(folder / "a.wav"), str(clash), *out],
        [str(tmp_path / "missing.wav"), *out],
        [str(folder), *out, "--workers", "0"],
        [str(folder)],
        [str(folder), "--out", str(blocked / "below")],
    ]

    results = [decompose(*case) for case in cases]

    assert [result.exit_code for result in results] == [2] * len(cases)
    assert all(result.stderr for result in results)
    assert "would write the same waves" in results[1].stderr
    assert not (tmp_path / "out").exists()


def test_a_wrong_setting_exits_with_2(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting out of range is one clear line and exit 2."""
    monkeypatch.setenv("RR_WAVES_PROCESSING_SR", "44100")

    result = decompose(str(folder), "--out", str(tmp_path / "out"))

    assert result.exit_code == 2
    assert result.stderr.startswith("wrong setting: RR_WAVES_PROCESSING_SR='44100': ")


def test_workers_that_cannot_start_end_the_command(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no worker can be started the command gives up and says so for every file."""
    monkeypatch.setattr(worker, "warm_up", jobs.refuse_to_start_like_waves)
    monkeypatch.setattr(terminal, "GIVE_UP_AFTER_STARTS", 1)

    result = decompose(str(folder), "--out", str(tmp_path / "out"), "--json")

    assert result.exit_code == 1
    assert {row["reason"] for row in json.loads(result.stdout)["files"]} == {"stopped"}


SCRIPT = """
from backend.cli import (app)
from plugins.waves import worker
from tests.plugins.waves.pool import tasks as jobs

worker.decompose = jobs.decompose
worker.warm_up = jobs.warm_up_like_waves
if __name__ == "__main__":
    app()
"""


@pytest.mark.e2e
def test_ctrl_c_stops_at_once_with_130(tmp_path: Path) -> None:
    """Ctrl-C ends the workers, removes what is temporary and exits with 130."""
    told = Gate(tmp_path / "told")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "tell_and-told-ignore_sigterm.wav").touch()

    with subprocess.Popen(
        [sys.executable, str(script), "waves", "decompose", "in", "--out", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        worker_pid = int(told.line())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_S)
    told.close()

    assert process.returncode == 130
    assert wait_until_gone(worker_pid, SOON_S)
    assert list((tmp_path / "out").iterdir()) == []
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err
