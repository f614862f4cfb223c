"""F34: a server with 64 file descriptors and more visitors than that."""

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests import command
from tests.backend.serving import READY, Serving
from tests.live import Sequence, chat_body, events
from tests.patience import LIMIT_S, until
from tests.workers import workers_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="the limit of another process is set"),
]

DESCRIPTORS = 64
FEW_DESCRIPTORS = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
from backend.__main__ import main
main()
"""


def client(port: int) -> httpx2.Client:
    """Return a client that keeps its one connection."""
    limits = httpx2.Limits(max_connections=1, keepalive_expiry=None)
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT_S, limits=limits)


def ask(kept: httpx2.Client) -> Sequence:
    """Run one session of two slots and return its events."""
    with kept.stream("POST", "/v1/chat", json=chat_body(1, 2)) as response:
        return list(events(response.iter_lines()))


def state_of_waves(kept: httpx2.Client) -> str:
    """Return how the waves are, as the server tells."""
    state: str = kept.get("/v1/health/ready").json()["plugins"]["waves"]["state"]
    return state


def waves_of(artifacts: Path, session: Sequence) -> list[Path]:
    """Return where the waves of a session's utterances belong."""
    heard = [Path(data["audioPath"]) for name, data in session if name == "slot.audio"]
    return [
        artifacts / "waves" / path.parent.relative_to("tts") / f"{path.stem}_v3_wave{number}.wav"
        for path in heard
        for number in (1, 2, 3)
    ]


def limit_descriptors(serving: Serving, soft: int) -> int:
    """Let a running server have that many descriptors; return how many it could have before."""
    resource = pytest.importorskip("resource")
    before, hard = resource.prlimit(serving.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(serving.pid, resource.RLIMIT_NOFILE, (soft, hard))
    return int(before)


def test_more_visitors_than_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F34: connections that say nothing are cut before they take what a session needs."""
    monkeypatch.setattr(command, "COMMAND", (sys.executable, "-c", FEW_DESCRIPTORS))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    artifacts = tmp_path / "artifacts"
    with Serving(tmp_path, {"RR_REQUEST_LIMIT_S": "600"}) as serving, ExitStack() as held:
        serving.wait_for(READY)
        kept = held.enter_context(client(serving.port))
        until(lambda: state_of_waves(kept) == "ok", "the workers are there")
        for _ in range(2 * DESCRIPTORS):
            idle = socket.create_connection(("127.0.0.1", serving.port), timeout=LIMIT_S)
            held.enter_context(idle)

        session = ask(kept)
        until(lambda: all(wave.is_file() for wave in waves_of(artifacts, session)), "all its waves")
        code = serving.stop()

    assert 6 == sum(name == "slot.audio" for name, _ in session)
    assert 0 == code
    assert "Too many open files" not in "".join(serving.log)
    (told,) = [line for line in serving.log if "too many connections" in line]
    assert "[warning" in told


def test_without_descriptors_it_errs_and_recovers(tmp_path: Path) -> None:
    """F34: with no descriptor left every session is told of errors; with some again all is well."""
    artifacts = tmp_path / "artifacts"
    env = {"RR_WAVES_BACKFILL_INTERVAL_S": "0.5"}
    with Serving(tmp_path, env) as serving, client(serving.port) as kept:
        serving.wait_for(READY)
        until(lambda: state_of_waves(kept) == "ok", "the workers are there")
        ask(kept)  # what is imported at first use is there now
        before = limit_descriptors(serving, 3)
        with socket.create_connection(("127.0.0.1", serving.port), timeout=LIMIT_S) as late:
            late.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            starved = ask(kept)
            serving.wait_for("out of system resource")
            workers_of(serving.process)[0].kill()
            until(lambda: state_of_waves(kept) == "degraded", "the worker is missed")
            healthy = kept.get("/v1/health").status_code
            limit_descriptors(serving, before)
            answered = late.recv(65_536)

        again = ask(kept)
        until(lambda: all(wave.is_file() for wave in waves_of(artifacts, again)), "all its waves")
        until(lambda: state_of_waves(kept) == "ok", "the workers are there")
        code = serving.stop()

    assert "done" == starved[-1][0]
    assert 10 > sum("out of system resource" in line for line in serving.log), "one each second"
    told = [data["error"]["type"] for name, data in starved if name == "slot.error"]
    assert ["tts_error"] * 6 == told
    assert "slot.audio" not in [name for name, _ in starved]
    assert 200 == healthy
    assert answered.startswith(b"HTTP/1.1 200")
    assert 6 == sum(name == "slot.audio" for name, _ in again)
    assert 0 == code
    assert [] == list(artifacts.rglob("*.corrupt-*"))
    assert [] == [path for path in (artifacts / ".tmp").iterdir() if path.is_file()]
