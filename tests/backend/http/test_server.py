"""`serve` as a process: it starts, says where, keeps visitors' words to itself, and stops."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from backend.sessions import mark_interrupted
from backend.storage import Artifacts
from tests.backend.serving import READY, Serving
from tests.command import Running, free_port, run
from tests.live import chat_body, events, get, post
from tests.patience import LIMIT_S, SOON_S, until

CANARY = "xqcanary"


@pytest.fixture
def port() -> int:
    """Return a free port."""
    return free_port()


@pytest.fixture
def serving(port: int, tmp_path: Path) -> Iterator[Serving]:
    """Return a server with its waves, started and listening."""
    env = {"RR_WAVES_MAX_WORKERS": "1"}
    with Serving(tmp_path, env, port=port) as server:
        server.wait_for(READY)
        yield server


def test_a_server_starts_answers_and_stops(tmp_path: Path) -> None:
    """The whole process, without its waves: it listens, answers, and ends well when it is told."""
    with Serving(tmp_path, {"RR_WAVES_ENABLED": "false"}) as serving:
        serving.wait_for(READY)
        health = get(serving.port, "/v1/health")
        code = serving.stop(signal.SIGTERM)

    assert (200, 0) == (health.status, code)
    states = [line for line in serving.log if "plugin state" in line]
    assert 1 == sum("plugin=show " in line and "state=ok" in line for line in states)
    assert "Traceback" not in "".join(serving.log)


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no variable that names the browser")
def test_the_address_is_shown_and_opened(tmp_path: Path) -> None:
    """A line for people names both pages, and `--open` shows the first in the browser."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\nexec sleep 60\n')
    browser.chmod(0o700)
    port = free_port()
    env = {"RR_WAVES_ENABLED": "false", "BROWSER": f"{browser} %s"}
    with Running("serve", "--open", "--port", str(port), cwd=tmp_path, env=env) as serving:
        serving.wait_for("in a browser")
        until(lambda: opened.exists() and opened.read_text() != "", "the browser is started")
        code = serving.stop(signal.SIGTERM)
    off = {"RR_WAVES_ENABLED": "false", "RR_CONSOLE_ENABLED": "false"}
    with Serving(tmp_path, off) as without:
        without.wait_for("in a browser")

    url = f"http://127.0.0.1:{port}"
    assert (f"{url}\n", 0) == (opened.read_text(), code)
    shown = f"open {url} in a browser; {url}/console is the artist's page"
    assert shown in [line.strip() for line in serving.log]
    assert f"open http://127.0.0.1:{without.port} in a browser" in [
        line.strip() for line in without.log
    ]


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_and_all_its_children(
    serving: Running, port: int, number: signal.Signals
) -> None:
    """Ctrl-C and a service manager's stop end it cleanly: no traceback, no orphan, port free."""
    health = get(port, "/v1/health")
    children = serving.children

    code = serving.stop(number)

    assert (200, False) == (health.status, "server" in health.headers)
    assert 0 == code
    assert "Traceback" not in "".join(serving.log)
    _, alive = psutil.wait_procs(children, SOON_S)
    assert [] == alive
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), LIMIT_S)


@pytest.mark.e2e
def test_a_stop_in_a_session_keeps_what_was_announced(
    serving: Serving, port: int, tmp_path: Path
) -> None:
    """Stopped in the middle, the stream still ends with `done`, and each announced WAV is whole."""
    announced = []
    with (
        httpx2.Client(timeout=LIMIT_S) as client,
        client.stream(
            "POST", f"http://127.0.0.1:{port}/v1/chat", json=chat_body(1, 2, 3, 4, 5, 6)
        ) as response,
    ):
        stream = events(response.iter_lines())
        announced.append(next(data for name, data in stream if name == "slot.audio"))
        serving.tell(signal.SIGINT)
        last = [name for name, _ in stream][-1]
        code = serving.wait(LIMIT_S)

    (manifest,) = (tmp_path / "artifacts/tts/sessions").glob("*/session.json")
    assert (0, "done") == (code, last)
    assert "Traceback" not in "".join(serving.log)
    artifacts = Artifacts(tmp_path / "artifacts")  # on a busy disk the next start has to mark it
    mark_interrupted(artifacts, artifacts.session_ids("tts"), threading.Event())
    assert "interrupted" == json.loads(manifest.read_bytes())["status"]
    for event in announced:
        assert (tmp_path / "artifacts" / event["audioPath"]).read_bytes().startswith(b"RIFF")
    assert [] == list((tmp_path / "artifacts/.tmp").iterdir())


@pytest.mark.e2e
@pytest.mark.parametrize("command", ["serve", "rehearse"])
def test_the_next_start_marks_the_session_of_a_killed_process(command: str, tmp_path: Path) -> None:
    """A session says "running"; once its process was killed, the next start marks it."""
    env = {"RR_WAVES_ENABLED": "false"}
    arguments = ("serve", "--port", str(free_port())) if command == "serve" else ("rehearse",)

    def manifests() -> dict[Path, str]:
        found = (tmp_path / "artifacts/tts/sessions").glob("*/session.json")
        return {path: json.loads(path.read_bytes())["status"] for path in found}

    with Running("rehearse", cwd=tmp_path, env=env) as killed:
        killed.wait_for("turn 2")
        ((dead, before),) = manifests().items()
    with Running(*arguments, cwd=tmp_path, env=env):
        until(lambda: manifests()[dead] == "interrupted", "it is marked")

    assert "running" == before


@pytest.mark.e2e
def test_a_taken_port_is_told_and_exit_code_1(tmp_path: Path) -> None:
    """A second server on the same port says what to do, before anything is started, and ends."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--port", str(taken.getsockname()[1]), cwd=tmp_path)

    assert 1 == done.returncode
    assert [] == list(tmp_path.iterdir()), "the artifacts were touched"
    assert "plugin started" not in done.stderr
    assert "RR_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
def test_no_visitors_words_in_the_log(port: int, tmp_path: Path) -> None:
    """At the most talkative level the log holds the session's id and nothing that was said."""
    env = {"RR_LOG_LEVEL": "debug", "RR_WAVES_ENABLED": "false"}
    body = json.dumps(chat_body(1, 2, message=f"{CANARY} {CANARY}")).encode()

    with Running("serve", "--port", str(port), cwd=tmp_path, env=env) as serving:
        serving.wait_for(READY)
        answer = post(port, "/v1/chat", body, "Content-Type: application/json")
        post(
            port, "/v1/chat", f'{{"message": "{CANARY}"'.encode(), "Content-Type: application/json"
        )
        post(port, "/v1/chat", f'{{"message": "{CANARY}"}}'.encode(), "Content-Type: text/plain")
        get(port, f"/v1/audio/tts/{CANARY}.wav?{CANARY}")
        serving.stop()

    log = "".join(serving.log)
    events = [
        line.removeprefix("data: ")
        for line in answer.body.decode().splitlines()
        if "data: " in line
    ]
    session_id = json.loads(events[0])["sessionId"]
    said = [event["text"] for event in map(json.loads, events) if "text" in event]
    assert session_id in log
    assert CANARY in "".join(said), "the agents repeat words; else this test shows nothing"
    assert [] == [text for text in said if text in log]
    assert CANARY not in log.replace(f"path=tts/{CANARY}.wav", "")
