"""`reflective-resonance waves worker`, and the commands that use it, as processes."""

import json
import signal
import socket
from pathlib import Path
from time import monotonic

import pytest

from tests.command import Running, invoke, run
from tests.nats_server import nats_server
from tests.patience import until
from tests.plugins.waves.farm.farms import recording


@pytest.mark.parametrize("url", ["http://stage", "nats://user:word@stage:4222", "nats://", "stage"])
def test_an_address_that_is_none_is_wrong_usage(url: str) -> None:
    """What is no NATS server's address, or would show a password, is refused."""
    result = invoke("waves", "worker", url)

    assert 2 == result.exit_code
    assert "RR_WAVES_FARM" in result.output


@pytest.mark.e2e
def test_a_machine_makes_the_waves_of_commands(tmp_path: Path) -> None:
    """Both commands name the machine that made each file; SIGTERM ends it with 0, within 3 s."""
    for number in range(8):
        recording(tmp_path / "in" / f"{number}.wav")
        turn = tmp_path / "root" / "tts" / "sessions" / "session-1" / "turn_1"
        recording(turn / f"slot-{number + 1}_gpt_calm.wav")
    decompose = ("waves", "decompose", "in", "--out", "out", "--json")
    backfill = ("waves", "backfill", "root", "--json")
    with (
        nats_server(tmp_path) as server,
        Running(
            "waves", "worker", server.url, cwd=tmp_path, env={"RR_LOG_LEVEL": "info"}
        ) as worker,
    ):
        worker.wait_for("this machine makes waves")
        for command in (decompose, backfill):
            done = run(*command, "--farm", server.url, cwd=tmp_path)
            assert 0 == done.returncode, done.stderr
            report = json.loads(done.stdout)
            assert 8 == len(report["files"])
            assert {"", socket.gethostname()} >= {row["machine"] for row in report["files"]}
        until(lambda: bool(worker.children), "workers")
        stopped_at = monotonic()
        assert 0 == worker.stop(signal.SIGTERM)
        assert monotonic() - stopped_at < 3
        again = run(*backfill, "--farm", server.url, cwd=tmp_path)

    assert [] == json.loads(again.stdout)["files"]
    assert 24 == len(list((tmp_path / "out").rglob("*.wav")))
