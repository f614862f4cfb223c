"""`reflective-resonance prune`."""

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from backend.storage import Artifacts, holding
from plugins.retention.trash import Trash
from tests import command
from tests.command import invoke, run
from tests.plugins.retention.stores import age, store, stored

HOUR_S = 3600


def prune(*arguments: str, **limits: str) -> Result:
    """Run the command in this process."""
    env = {f"RR_RETENTION_{name.upper()}": value for name, value in limits.items()}
    return invoke("prune", *arguments, **env)


def rows(done: Result) -> list[tuple[Any, ...]]:
    """Return who goes, from where, why and with what result, from `--json`."""
    keys = ("session_id", "tree", "bytes", "why", "result")
    return [tuple(row[key] for key in keys) for row in json.loads(done.stdout)["sessions"]]


@pytest.mark.e2e
def test_a_dry_run_tells_what_a_run_does(tmp_path: Path, artifacts: Artifacts) -> None:
    """As a process: the dry run changes nothing, the run removes just what it said, 0 each time."""
    env = {"RR_RETENTION_TTS_TTL_MIN": "30", "RR_RETENTION_WAVES_KEEP_LAST": "2"}
    for name, age_s in (("old", 9 * HOUR_S), ("later", 5 * HOUR_S), ("new", 60)):
        store(artifacts, name, size=1_500_000, age_s=age_s)
    before = sorted(artifacts.root.rglob("*"))

    told = run("prune", "--dry-run", cwd=tmp_path, env=env)
    after = sorted(artifacts.root.rglob("*"))
    done = run("prune", "--json", cwd=tmp_path, env=env)

    assert before == after
    assert (0, 0) == (told.returncode, done.returncode)
    lines = [re.split(" {2,}", line.strip()) for line in told.stdout.splitlines()]
    assert [
        ["old", "speech", "1.5 MB", "9 h", "its waves are removed", "would go"],
        ["old", "waves", "1.5 MB", "9 h", "not among the newest 2", "would go"],
        ["later", "speech", "1.5 MB", "5 h", "older than 30 min", "would go"],
    ] == [cells for cells in lines if cells[-1] == "would go"]
    assert "speech: 2 sessions would go, 3.0 MB, 1.5 MB left" in told.stdout
    assert "waves: 1 session would go, 1.5 MB, 3.0 MB left" in told.stdout
    result = json.loads(done.stdout)
    assert [("old", "tts"), ("old", "waves"), ("later", "tts")] == [
        (row["session_id"], row["tree"]) for row in result["sessions"]
    ]
    expected = {"sessions": 2, "bytes": 3_000_000, "bytes_left": 1_500_000}
    assert expected == result["totals"]["tts"]
    assert {"tts": ["new"], "waves": ["later", "new"], "trash": []} == stored(artifacts)


@pytest.mark.e2e
def test_the_recording_of_a_session_goes_with_it(tmp_path: Path, artifacts: Artifacts) -> None:
    """As a process: it is removed and told of with its reason."""
    env = {"RR_RETENTION_TTS_TTL_MIN": "30"}
    store(artifacts, "old", "tts", age_s=HOUR_S)
    store(artifacts, "heard", "stt", age_s=60)
    manifest = artifacts.session("tts", "old") / "session.json"
    manifest.write_bytes(b'{"heard_id": "heard"}')
    age(manifest, HOUR_S)

    done = run("prune", "--json", cwd=tmp_path, env=env)

    told = {row["tree"]: row["because"] for row in json.loads(done.stdout)["sessions"]}
    assert {"tts": "older than 30 min", "stt": "its speech is removed"} == told
    assert [] == artifacts.session_entries("stt")


def test_nothing_goes_without_a_limit(artifacts: Artifacts) -> None:
    """With the settings as they come nothing goes, and the command says why."""
    store(artifacts, "session-1", age_s=1e7)

    done = prune(str(artifacts.root))

    assert 0 == done.exit_code
    assert "no limit is set" in done.stderr
    assert ["session-1"] == stored(artifacts)["waves"]


def test_what_a_kill_left_in_the_trash_goes(artifacts: Artifacts) -> None:
    """A run that removes nothing else still empties the trash; a dry run does not."""
    left = artifacts.root / ".trash" / "tts-session-1-0a1b2c"
    left.mkdir(parents=True)

    prune(str(artifacts.root), "--dry-run")
    stood = left.exists()
    prune(str(artifacts.root))

    assert (True, False) == (stood, left.exists())


def test_beside_a_server_only_a_dry_run_may_look(artifacts: Artifacts) -> None:
    """While somebody holds the artifacts a run ends with 2 and names them; a dry run lists."""
    store(artifacts, "session-1", age_s=HOUR_S)
    with holding(artifacts, "reflective-resonance serve"):
        refused = prune(str(artifacts.root), tts_ttl_min="1")
        listed = prune(str(artifacts.root), "--dry-run", "--json", tts_ttl_min="1")

    assert (2, 0) == (refused.exit_code, listed.exit_code)
    assert "in use by reflective-resonance serve, process" in refused.stderr
    assert [("session-1", "tts", 1000, "age", "would go")] == rows(listed)
    assert ["session-1"] == stored(artifacts)["tts"]


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="such a limit is POSIX's")
def test_a_full_disk_is_made_room_on(
    tmp_path: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not a byte can be written any more, what is over a limit goes."""
    store(artifacts, "old", age_s=9 * HOUR_S)
    full = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command.COMMAND)
    monkeypatch.setattr(command, "COMMAND", full)

    done = run("prune", cwd=tmp_path, env={"RR_RETENTION_TTS_TTL_MIN": "30"})

    assert (0, "") == (done.returncode, done.stderr)
    assert [] == stored(artifacts)["tts"]


def test_what_goes_wrong_on_the_way_is_one_line(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk ends the command with 1 and says what it was."""

    def broken(_: Trash) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Trash, "sweep", broken)
    store(artifacts, "session-1", age_s=HOUR_S)

    done = prune(str(artifacts.root))

    assert 1 == done.exit_code
    assert "Input/output error" in done.stderr


def test_what_cannot_be_removed_is_named(artifacts: Artifacts) -> None:
    """A session that stays although it should go is in the table with the reason; exit 1."""
    store(artifacts, "session-1", age_s=HOUR_S)
    (artifacts.root / ".trash").write_bytes(b"in the way")

    failed = prune(str(artifacts.root), waves_ttl_h="0.5")
    as_json = prune(str(artifacts.root), "--json", waves_ttl_h="0.5")

    assert (1, 1) == (failed.exit_code, as_json.exit_code)
    assert "failed: NotADirectoryError" in failed.stdout
    assert {"failed"} == {row[-1] for row in rows(as_json)}
    assert {"sessions": 0, "bytes": 0, "bytes_left": 1000} == json.loads(as_json.stdout)["totals"][
        "tts"
    ]


@pytest.mark.parametrize(
    ("arguments", "limits", "problem"),
    [
        ((".",), {"tts_ttl_min": "-1"}, "RR_RETENTION_TTS_TTL_MIN='-1'"),
        (("nowhere",), {}, "nowhere is not a directory"),
        (("--no-such-option",), {}, "No such option"),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...], limits: dict[str, str], problem: str) -> None:
    """A wrong setting, directory or option is named, and nothing is done."""
    done = prune(*arguments, **limits)

    assert 2 == done.exit_code
    assert problem in done.stderr


def test_an_env_file_in_another_encoding_is_2(
    artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of settings that cannot be read is wrong usage, told in words."""
    monkeypatch.chdir(tmp_path)
    artifacts.root.mkdir(exist_ok=True)
    (tmp_path / ".env").write_text("RR_X=Bühne\n", encoding="cp1252")

    done = prune(str(artifacts.root))

    assert 2 == done.exit_code
    assert ".env, line 1: is not UTF-8" in done.stderr


def test_an_interruption_leaves_whole_sessions(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is 130; what had gone is gone, what had not stays, and the next run goes on."""
    for name, age_s in (("old", 3 * HOUR_S), ("later", 2 * HOUR_S)):
        store(artifacts, name, age_s=age_s)
    take = Trash.take

    def interrupted(trash: Trash, tree: Any, session_id: str) -> None:
        if session_id == "later":
            raise KeyboardInterrupt
        take(trash, tree, session_id)

    with monkeypatch.context() as patch:
        patch.setattr(Trash, "take", interrupted)
        stopped = prune(str(artifacts.root), waves_ttl_h="1")
    between = stored(artifacts)
    again = prune(str(artifacts.root), waves_ttl_h="1")

    assert (130, 0) == (stopped.exit_code, again.exit_code)
    assert "every other session is whole" in stopped.stderr
    assert {"tts": ["later"], "waves": ["later"], "trash": []} == between
    assert {"tts": [], "waves": [], "trash": []} == stored(artifacts)
