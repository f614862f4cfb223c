"""The checks of `doctor` beside the server: one at a time, and none outlives who asked for it."""

import json
import os
import socket
import sys
import threading
from pathlib import Path

import psutil
import pytest

from backend.config import Settings
from backend.http import doctor
from backend.http.app import create_app
from tests.backend.serving import READY, Serving
from tests.live import LiveServer, post
from tests.patience import until

HANGS = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
made = pathlib.Path(os.environ["RR_ARTIFACTS_DIR"], "pids.new")
made.write_text(f"{os.getpid()} {child.pid}")
made.rename(made.with_name("pids"))
time.sleep(1000)
"""
REQUEST = b"POST /v1/doctor HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def live(tmp_path: Path) -> LiveServer:
    """Return a server that is not started yet."""
    return LiveServer(create_app(Settings(artifacts_dir=tmp_path), []))


def checks(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a script stand in the place of the checks."""
    monkeypatch.setattr(doctor, "COMMAND", (sys.executable, "-c", script))


def processes(folder: Path) -> list[int]:
    """Return the process that hangs and its child, once they run."""
    until((folder / "pids").exists, "the checks to start")
    return [int(pid) for pid in (folder / "pids").read_text("utf-8").split()]


def wait_for_the_end(pids: list[int]) -> None:
    """Wait until none of the processes runs; one that nobody reaps is a zombie."""
    until(lambda: not any(map(_runs, pids)), "the checks to end")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.e2e
def test_the_checks_are_those_of_the_server_that_runs(tmp_path: Path) -> None:
    """Its port and folder, set on the command line, are the ones that are checked, and well."""
    env = {"RR_WAVES_ENABLED": "false", "RR_ARTIFACTS_DIR": str(tmp_path / "shown")}
    with Serving(tmp_path, env) as serving:
        serving.wait_for(READY)
        answer = post(serving.port, "/v1/doctor", b"")

    told = {one["check"]: one for one in json.loads(answer.body)}
    address = f"http://127.0.0.1:{serving.port}"
    assert 200 == answer.status
    assert {
        "check": "port",
        "ok": True,
        "detail": f"the server of this installation runs at {address}",
    } == told["port"]
    assert str(tmp_path / "shown") == told["artifacts can be written"]["detail"]
    assert [] == [one for one in told.values() if not one["ok"]]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no process groups to kill")
def test_a_client_that_leaves_ends_its_checks(
    live: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process and its child are gone, and the next one may ask."""
    checks(monkeypatch, HANGS)

    with live:
        with socket.create_connection(("127.0.0.1", live.port)) as connection:
            connection.sendall(REQUEST)
            hanging = processes(tmp_path)
            busy = post(live.port, "/v1/doctor", b"")
        wait_for_the_end(hanging)
        checks(monkeypatch, "print('[]')")
        until(lambda: post(live.port, "/v1/doctor", b"").status == 200, "the next checks")

    assert 503 == busy.status
    assert b"running already" in busy.body


@pytest.mark.e2e
@pytest.mark.skipif(os.name != "posix", reason="Windows has no process groups to kill")
def test_a_stop_of_the_server_ends_the_checks(
    live: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits is told so, and neither the process nor its child is left."""
    checks(monkeypatch, HANGS)
    answers = []

    def ask() -> None:
        answers.append(post(live.port, "/v1/doctor", b""))

    asking = threading.Thread(target=ask)
    with live:
        asking.start()
        hanging = processes(tmp_path)
    asking.join()

    wait_for_the_end(hanging)
    assert [503] == [answer.status for answer in answers]


@pytest.mark.e2e
def test_checks_that_hang_are_ended(
    live: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the time limit the process is killed and the answer says so."""
    checks(monkeypatch, HANGS)
    monkeypatch.setattr(doctor, "LIMIT_S", 3.0)

    with live:
        answer = post(live.port, "/v1/doctor", b"")

    assert 504 == answer.status
    wait_for_the_end(processes(tmp_path)[: 2 if os.name == "posix" else 1])


def test_a_doctor_that_cannot_start_says_why(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says instead of its checks is the reason, a wrong setting for example."""
    checks(monkeypatch, "import sys; sys.exit('wrong setting: RR_PORT=0')")

    with live:
        answer = post(live.port, "/v1/doctor", b"")

    assert 502 == answer.status
    assert "wrong setting: RR_PORT=0" in json.loads(answer.body)["detail"]
