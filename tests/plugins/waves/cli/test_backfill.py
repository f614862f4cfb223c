"""`reflective-resonance waves backfill` as a process."""

import json
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.storage import Artifacts, holding
from plugins.waves.jobs import record
from tests.command import COMMAND, environment, run
from tests.patience import LIMIT_S
from tests.plugins.waves.speeches import check_all_whole, left, set_age, speak

pytestmark = pytest.mark.e2e


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def backfill(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("waves", "backfill", *arguments, cwd=cwd)


def results(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return the result of each file by its name, from `--json`."""
    rows: list[dict[str, Any]] = json.loads(done.stdout)["files"]
    return {Path(row["path"]).stem: row["result"] for row in rows}


def test_all_that_is_missing_is_made(artifacts: Artifacts, tmp_path: Path) -> None:
    """Dry run, run, and run again: listed, made, nothing left; 0 each time."""
    for n in range(1, 4):
        speak(artifacts, f"slot-{n}_gpt_calm", turn=n)

    listed = backfill(tmp_path, "--dry-run", "--json")
    nothing_made = not artifacts.sessions("waves").exists()
    made = backfill(tmp_path, str(artifacts.root), "--workers", "1")
    record.path_of(artifacts, "session-1").unlink()
    again = backfill(tmp_path, "--json")
    last = backfill(tmp_path)

    assert [0, 0, 0, 0] == [done.returncode for done in (listed, made, again, last)]
    assert ["missing"] * 3 == list(results(listed).values())
    assert nothing_made
    assert "3 written" in made.stdout
    assert "decomposing" in made.stderr
    assert ["recorded"] * 3 == list(results(again).values())
    assert "nothing is missing" in last.stdout
    assert 3 == check_all_whole(artifacts)


def test_waves_of_a_profile_that_are_missing_are_listed_and_made(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    """With the names of the profiles; V3's files stay as they are."""
    path = speak(artifacts, "slot-2_gpt_calm")
    backfill(tmp_path)
    env = {"RR_WAVES_PROFILES": "v3,slots"}
    stood = {file: file.stat() for file in artifacts.sessions("waves").rglob("*_wave?.wav")}

    listed = run("waves", "backfill", "--dry-run", cwd=tmp_path, env=env)
    made = run("waves", "backfill", "--json", cwd=tmp_path, env=env)
    again = run("waves", "backfill", "--json", cwd=tmp_path, env=env)

    (line,) = (line for line in listed.stdout.splitlines() if "slot-2_gpt_calm.wav" in line)
    assert ["slots", "missing"] == line.split()[1:]
    (row,) = json.loads(made.stdout)["files"]
    assert ("written", ["slots"], path.name) == (
        row["result"], row["profiles"], Path(row["path"]).name
    )  # fmt: skip
    assert 3 == len(stood)
    assert stood == {file: file.stat() for file in stood}
    assert 5 == len(list(artifacts.sessions("waves").rglob("*_wave?.wav")))
    assert {} == results(again)


def test_a_failure_is_in_the_table_and_not_tried_again(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    """A recording that cannot be read is named with its reason; exit 1, then it is left alone."""
    speak(artifacts, "good")
    bad = speak(artifacts, "bad")
    bad.write_bytes(b"no audio")
    set_age(bad, 60)

    first, second = backfill(tmp_path), backfill(tmp_path, "--json")

    assert (1, 0) == (first.returncode, second.returncode)
    assert "bad.wav" in first.stdout
    assert "invalid_audio: " in first.stdout
    assert "good.wav" not in first.stdout
    assert {} == results(second)


def test_waves_that_cannot_be_recorded_are_named(artifacts: Artifacts, tmp_path: Path) -> None:
    """Where no record can be written the table says so; the waves stay."""
    speak(artifacts, "slot-1_gpt_calm")
    backfill(tmp_path)
    path = record.path_of(artifacts, "session-1")
    path.unlink()
    path.mkdir()

    done = backfill(tmp_path, "--json")

    (row,) = json.loads(done.stdout)["files"]
    assert (1, "failed", "not_recorded") == (done.returncode, row["result"], row["reason"])
    assert "EISDIR" in row["message"]
    assert 3 == len(list(artifacts.sessions("waves").rglob("*_wave?.wav")))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("place", ["waves", "waves/sessions/session-1", "turn"])
def test_links_below_the_root_are_not_followed(
    artifacts: Artifacts, tmp_path: Path, place: str
) -> None:
    """What is elsewhere stays as it is; the failure names the link."""
    speak(artifacts, "slot-1_gpt_calm")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "slot-1_gpt_calm_v3_wave1.wav").write_bytes(b"another's")
    link = artifacts.root / place.replace("turn", "waves/sessions/session-1/turn_1")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)

    done = backfill(tmp_path, "--json")

    (row,) = json.loads(done.stdout)["files"]
    assert (1, "publish_failed") == (done.returncode, row["reason"])
    assert f"{link} is a symbolic link: remove it" in row["message"]
    assert ["slot-1_gpt_calm_v3_wave1.wav"] == [one.name for one in outside.iterdir()]


def test_since_goes_by_the_record_of_the_session(artifacts: Artifacts, tmp_path: Path) -> None:
    """Files that were copied since are as old as their session says."""
    path = speak(artifacts, "slot-1_gpt_calm")
    spoken = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    row = {"audio_path": artifacts.relative(path), "written_at": spoken}
    (path.parents[1] / "session.json").write_text(json.dumps({"utterances": [row]}))

    yesterday, last_week = (
        backfill(tmp_path, "--since", since, "--dry-run", "--json") for since in ("1d", "7d")
    )

    assert {} == results(yesterday)
    assert {"slot-1_gpt_calm": "missing"} == results(last_week)


@pytest.mark.parametrize("since", ["1h", "60m", "3600s", "DATE"])
def test_since(artifacts: Artifacts, tmp_path: Path, since: str) -> None:
    """Only what was spoken since then is looked at."""
    speak(artifacts, "old", age_s=7200)
    speak(artifacts, "new", age_s=60)
    if since == "DATE":
        since = (datetime.now() - timedelta(hours=1)).isoformat(timespec="minutes")  # noqa: DTZ005 - local, as people write it

    done = backfill(tmp_path, "--since", since, "--dry-run", "--json")

    assert {"new": "missing"} == results(done)


def test_bad_usage_exits_with_2(artifacts: Artifacts, tmp_path: Path) -> None:
    """A missing directory, a wrong moment or number: 2, one line, nothing on stdout."""
    speak(artifacts, "a")
    cases = [["nowhere"], ["--since", "soon"], ["--since", "9999999999d"], ["--workers", "0"]]

    for case in cases:
        done = backfill(tmp_path, *case)

        assert (2, "") == (done.returncode, done.stdout), case
        assert done.stderr
        assert "Traceback" not in done.stderr
    assert [("a", "pending")] == left(artifacts)


def test_a_server_that_runs_is_named(artifacts: Artifacts, tmp_path: Path) -> None:
    """While a server holds the root the command says so and exits with 2; a dry run may look."""
    speak(artifacts, "a")

    with holding(artifacts, "reflective-resonance serve"):
        done = backfill(tmp_path)
        dry = backfill(tmp_path, "--dry-run")

    assert (2, "") == (done.returncode, done.stdout)
    assert f"reflective-resonance serve, process {os.getpid()}" in done.stderr
    assert 0 == dry.returncode
    assert "missing" in dry.stdout


def test_ctrl_c_and_on_again(artifacts: Artifacts, tmp_path: Path) -> None:
    """Ctrl-C ends it with 130, keeps what is made, and the next run does the rest only."""
    count = 60
    for n in range(count):
        speak(artifacts, f"slot-{n}_gpt_calm")
    first = artifacts.sessions("waves")
    with subprocess.Popen(
        [*COMMAND, "waves", "backfill", "--workers", "1"],
        cwd=tmp_path,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not list(first.glob("*/session.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT_S)
    made = count - len(left(artifacts))

    rest = backfill(tmp_path, "--json")

    assert (130, "") == (process.returncode, out)
    assert "run it again" in err
    assert "Traceback" not in err
    assert 0 < made < count
    assert (0, count - made) == (rest.returncode, len(results(rest)))
    assert count == check_all_whole(artifacts)
