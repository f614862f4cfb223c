"""F30 and F34 for the whole server: many visitors, slow readers, no descriptors left."""

import json
import re
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

from tests import command
from tests.backend.serving import READY, Serving
from tests.live import LIMIT_S, chat_body, get, post

pytestmark = pytest.mark.faults

VISITORS = 20
MEMORY_MB = 60
DESCRIPTORS = 64
FEW_DESCRIPTORS = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
from backend.__main__ import main
main()
"""
BODY = json.dumps(chat_body(1, 2)).encode()
JSON_TYPE = "Content-Type: application/json"
HEAD = (
    f"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON_TYPE}\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
).encode()


def wait_until(happened: Callable[[], bool]) -> None:
    """Ask until it is so."""
    deadline = monotonic() + 2 * LIMIT_S
    while not happened():
        assert monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.05)


def all_have_waves(artifacts: Path) -> bool:
    """Tell whether each speech file has its three waves."""
    spoken = list((artifacts / "tts/sessions").rglob("*.wav"))
    return all(
        (artifacts / "waves" / wav.parent.relative_to(artifacts / "tts"))
        .joinpath(f"{wav.stem}_v3_wave{number}.wav")
        .is_file()
        for wav in spoken
        for number in (1, 2, 3)
    )


def test_twenty_visitors_at_once_get_everything(tmp_path: Path) -> None:
    """F30: readers, leavers and 5 that read nothing: each session ends whole, with its waves."""
    artifacts = tmp_path / "artifacts"
    with Serving(tmp_path, {"RR_MAX_SESSIONS": str(VISITORS)}) as serving, ExitStack() as slow:
        serving.wait_for(READY)
        get(serving.port, "/v1/agents")
        before_mb = serving.resident_mb()

        def visit(number: int) -> bytes:
            if number % 4 == 0:
                return post(serving.port, "/v1/chat", BODY, JSON_TYPE).body
            visitor = socket.socket()
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            visitor.settimeout(LIMIT_S)
            visitor.connect(("127.0.0.1", serving.port))
            visitor.sendall(HEAD + BODY)
            if number % 4 == 1:
                slow.enter_context(visitor)  # reads nothing, and stays
                return b""
            with visitor:
                return visitor.recv(number * 20)

        with ThreadPoolExecutor(VISITORS) as visitors:
            whole = [stream for stream in visitors.map(visit, range(VISITORS)) if b"done" in stream]
        wait_until(
            lambda: sum("session finished" in line for line in list(serving.log)) == VISITORS
        )
        wait_until(lambda: all_have_waves(artifacts))
        grown_mb = serving.resident_mb() - before_mb

    assert 5 == sum(stream.count(b"event: done") for stream in whole)
    assert 4 * VISITORS <= len(list((artifacts / "tts/sessions").rglob("*.wav")))
    assert grown_mb < MEMORY_MB
    assert "Traceback" not in "".join(serving.log)


def test_without_descriptors_it_errs_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F34: connections that use up all 64 are refused or cut; then a session works as ever."""
    monkeypatch.setattr(command, "COMMAND", (sys.executable, "-c", FEW_DESCRIPTORS))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    artifacts = tmp_path / "artifacts"
    with Serving(tmp_path, {"RR_REQUEST_LIMIT_S": "1"}) as serving:
        serving.wait_for(READY)
        post(serving.port, "/v1/chat", BODY, JSON_TYPE)
        with ExitStack() as held:
            for _ in range(2 * DESCRIPTORS):
                held.enter_context(
                    socket.create_connection(("127.0.0.1", serving.port), timeout=LIMIT_S)
                )
            wait_until(lambda: serving.process.num_fds() >= DESCRIPTORS - 1)

            answer = post(serving.port, "/v1/chat", BODY, JSON_TYPE)

        again = post(serving.port, "/v1/chat", BODY, JSON_TYPE)
        heard = re.findall(rb'"audioPath":"tts/([^"]+)\.wav"', again.body)
        waves = [
            artifacts / "waves" / f"{path.decode()}_v3_wave{number}.wav"
            for path in heard
            for number in (1, 2, 3)
        ]
        wait_until(lambda: all(wave.is_file() for wave in waves))

    assert b"event: done" in answer.body
    assert b"slot.error" not in again.body
    assert 4 <= len(heard)
