"""`reflective-resonance waves worker`, and the commands that use it, as processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import COMMAND, Running, environment, free_port, invoke, run
from tests.nats_server import nats_server
from tests.patience import LIMIT_S, until
from tests.plugins.waves.farm.farms import recording


@pytest.mark.parametrize(
    "url",
    ["http://x:1", "nats://user:word@stage:4222", "nats://", "foo", "127.0.0.1:4333", "nats://a\n"],
)
@pytest.mark.parametrize(
    "words", ["worker", "decompose {0}/a.wav --out {0} --farm", "backfill {} --farm"]
)
def test_an_address_that_is_none_is_wrong_usage(tmp_path: Path, url: str, words: str) -> None:
    """It is said what to write; the address, which may hold a password, is not repeated."""
    recording(tmp_path / "a.wav")
    result = invoke("waves", *words.format(tmp_path).split(), url)

    assert 2 == result.exit_code
    assert "write nats://host:4222 or tls://host:4222" in result.output
    assert "RR_WAVES_FARM" not in result.output
    assert "word" not in result.output.replace("password", "")


def test_a_worker_without_an_address_is_wrong_usage() -> None:
    """An empty one is none."""
    assert 2 == invoke("waves", "worker", "").exit_code


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child")
def test_ctrl_c_ends_a_worker_that_a_shell_started_to_ignore_it(tmp_path: Path) -> None:
    """A shell without job control starts `worker &` so; SIGINT ends it with 130, as `serve`."""
    program = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    program += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    url = f"nats://127.0.0.1:{free_port()}"
    with subprocess.Popen(
        [sys.executable, "-c", program, *COMMAND[1:], "waves", "worker", url],
        cwd=tmp_path, env=environment({}), stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            assert "no connection to the farm" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert 130 == process.wait(LIMIT_S)
        finally:
            process.kill()


@pytest.mark.e2e
def test_commands_tell_that_no_farm_was_there(tmp_path: Path) -> None:
    """All is made here, and the last line says so."""
    turn = tmp_path / "root" / "tts" / "sessions" / "session-1" / "turn_1"
    recording(turn / "slot-1_gpt_calm.wav")
    for command in (f"decompose {turn} --out {tmp_path / 'out'}", f"backfill {tmp_path / 'root'}"):
        farm = f"nats://127.0.0.1:{free_port()}"
        done = run("waves", *command.split(), "--farm", farm, cwd=tmp_path)
        assert done.stdout.splitlines()[-1].startswith("this machine: 1 file, "), done.stderr


@pytest.mark.e2e
def test_a_machine_makes_the_waves_of_commands(tmp_path: Path) -> None:
    """Both commands name the machine that made each file; SIGTERM ends it with 0."""
    for number in range(8):
        recording(tmp_path / "in" / f"{number}.wav")
        turn = tmp_path / "root" / "tts" / "sessions" / "session-1" / "turn_1"
        recording(turn / f"slot-{number + 1}_gpt_calm.wav")
    decompose = ("waves", "decompose", "in", "--out", "out", "--json")
    backfill = ("waves", "backfill", "root", "--json")
    with (
        nats_server(tmp_path) as server,
        Running("waves", "worker", server.url, cwd=tmp_path) as worker,
    ):
        worker.wait_for("this machine makes waves")
        for command in (decompose, backfill):
            done = run(*command, "--farm", server.url, cwd=tmp_path)
            assert 0 == done.returncode, done.stdout + done.stderr
            report = json.loads(done.stdout)
            assert 8 == len(report["files"])
            assert {"", socket.gethostname()} >= {row["machine"] for row in report["files"]}
        until(lambda: bool(worker.children), "workers")
        assert 0 == worker.stop(signal.SIGTERM)
        again = run(*backfill, "--farm", server.url, cwd=tmp_path)

    assert [] == json.loads(again.stdout)["files"]
    assert 24 == len(list((tmp_path / "out").rglob("*.wav")))
