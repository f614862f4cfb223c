"""F28 for the whole server: whatever it does when the signal comes, it ends in time."""

import json
import os
import signal
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import monotonic

import psutil
import pytest

from backend.storage import Artifacts
from tests import command
from tests.backend.serving import READY, Serving
from tests.live import chat_body, get, post
from tests.patience import LIMIT_S, SOON_S, until
from tests.plugins.waves.speeches import left, speak
from tests.workers import workers_of

STOP_LIMIT_S = 8.0
pytestmark = [pytest.mark.e2e, pytest.mark.faults]

HANGING_VOICE = """
import sys
from backend.speech import children
from backend.speech.children import EmbeddedEngine
voice = (sys.executable, "-c", "import ctypes; print(flush=True); ctypes.PyDLL(None).sleep(60)")
children.EmbeddedEngine = lambda **options: EmbeddedEngine(command=voice, **options)
from backend.__main__ import main
main()
"""


def workers(serving: Serving) -> list[psutil.Process]:
    """Return the processes that make waves, once they are there."""

    def ready() -> bool:
        state = json.loads(get(serving.port, "/v1/health/ready").body)["plugins"]["waves"]["state"]
        return state == "ok" and len(workers_of(serving.process)) == 2

    until(ready, "the workers are there")
    return workers_of(serving.process)


def ask(serving: Serving) -> None:
    """Run one session of six slots; its answer may be cut off."""
    body = json.dumps(chat_body(1, 2, 3, 4, 5, 6)).encode()
    with suppress(ConnectionError, IndexError):
        post(serving.port, "/v1/chat", body, "Content-Type: application/json")


def stop(serving: Serving, *, twice: bool = False) -> tuple[int, float, list[psutil.Process]]:
    """Stop the server; return its exit code, the seconds it took, and its orphans."""
    children = serving.children
    started = monotonic()
    serving.tell(signal.SIGTERM)
    if twice:
        serving.tell(signal.SIGTERM)
        serving.tell(signal.SIGINT)
    code = serving.wait(LIMIT_S)
    took_s = monotonic() - started
    _, alive = psutil.wait_procs(children, SOON_S)
    return code, took_s, alive


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_an_idle_server_ends(tmp_path: Path, twice: bool) -> None:
    """F28: idle, told once or several times, it is gone in time with exit code 0 and no orphan."""
    with Serving(tmp_path) as serving:
        serving.wait_for(READY)
        workers(serving)

        code, took_s, orphans = stop(serving, twice=twice)

    assert (0, []) == (code, orphans)
    assert took_s < STOP_LIMIT_S * serving.slowness
    assert "Traceback" not in "".join(serving.log)


def test_a_server_that_is_starting_ends(tmp_path: Path) -> None:
    """F28: told while its plugins start, it is gone in time with exit code 0 and no orphan."""
    with Serving(tmp_path) as serving:
        serving.wait_for("Waiting for application startup")

        code, took_s, orphans = stop(serving)

    assert (0, []) == (code, orphans)
    assert took_s < STOP_LIMIT_S * serving.slowness


def test_hung_workers_and_a_full_queue_do_not_hold_it(tmp_path: Path) -> None:
    """F28: with 2 hung workers, jobs queued and a session running it ends, telling what it lost."""
    with Serving(tmp_path) as serving:
        serving.wait_for(READY)
        for worker in workers(serving):
            worker.suspend()
        ask(serving)
        running = threading.Thread(target=ask, args=(serving,))
        running.start()
        until(
            lambda: sum("session started" in line for line in serving.log) == 2,
            "the second session starts",
        )

        code, took_s, orphans = stop(serving)
        running.join(LIMIT_S)

    (line,) = [line for line in serving.log if "jobs were dropped at stop" in line]
    waiting, running_jobs = (
        int(line.partition(f"{name}=")[2].split()[0]) for name in ("waiting", "running")
    )
    ended = [line for line in serving.log if "utterance dropped" in line]
    assert waiting + running_jobs == len(ended) >= 10
    assert (0, []) == (code, orphans)
    assert took_s < STOP_LIMIT_S * serving.slowness


def test_ctrl_c_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F28: Ctrl-C reaches voices and workers too: the stream ends with `done`, nobody complains."""
    monkeypatch.setattr(command, "COMMAND", ("setsid", *command.COMMAND))
    received: list[bytes] = []
    body = json.dumps(chat_body(1, 2, 3, 4, 5, 6)).encode()
    with Serving(tmp_path) as serving:
        serving.wait_for(READY)
        workers(serving)
        visitor = threading.Thread(
            target=lambda: received.append(
                post(serving.port, "/v1/chat", body, "Content-Type: application/json").body
            )
        )
        visitor.start()
        serving.wait_for("agent answered")
        children = serving.children

        os.killpg(serving.pid, signal.SIGINT)
        code = serving.wait(STOP_LIMIT_S * serving.slowness)
        visitor.join(LIMIT_S)

    _, orphans = psutil.wait_procs(children, SOON_S)
    assert (0, []) == (code, orphans)
    assert b"event: done" in received[0]
    said = "".join(serving.log)
    assert "Traceback" not in said
    assert "SIGINT" not in said


def test_a_backfill_does_not_hold_it(tmp_path: Path) -> None:
    """F28: told with a hundred recordings left to make up for, it ends, and no set is half made."""
    artifacts = Artifacts(tmp_path / "artifacts")
    for n in range(100):
        speak(artifacts, f"slot-{n}_gpt_calm")
    with Serving(tmp_path) as serving:
        serving.wait_for("decomposition finished")

        code, took_s, orphans = stop(serving)

    assert (0, []) == (code, orphans)
    assert took_s < STOP_LIMIT_S * serving.slowness
    assert 100 > len(left(artifacts)) > 0
    sets = Counter(path.parent / path.name[:-5] for path in artifacts.root.rglob("*_wave?.wav"))
    assert {3} == set(sets.values())
    assert "Traceback" not in "".join(serving.log)


def test_hung_voices_do_not_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F28: six voices that hang in C keep neither the stream from `done` nor the process."""
    monkeypatch.setattr(command, "COMMAND", (sys.executable, "-c", HANGING_VOICE))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    received: list[bytes] = []
    with Serving(tmp_path, {"RR_SPEECH_TIMEOUT_S": "60"}) as serving:
        serving.wait_for(READY)
        body = json.dumps(chat_body(1, 2, 3, 4, 5, 6)).encode()
        visitor = threading.Thread(
            target=lambda: received.append(
                post(serving.port, "/v1/chat", body, "Content-Type: application/json").body
            )
        )
        workers(serving)
        known = len(serving.children)
        visitor.start()
        until(lambda: len(serving.children) >= known + 6, "six voices hang")

        code, took_s, orphans = stop(serving)
        visitor.join(LIMIT_S)

    assert b"event: done" in received[0]
    assert (0, []) == (code, orphans)
    assert took_s < STOP_LIMIT_S * serving.slowness
