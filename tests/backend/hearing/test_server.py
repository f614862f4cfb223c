"""Hearing in a server that runs: its children come with it, are replaced, and go with it."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.backend.serving import READY, Serving
from tests.live import get
from tests.patience import LIMIT_S, SOON_S, until
from tests.recordings import NEEDS_MOONSHINE, encode, spoken

pytestmark = [
    pytest.mark.e2e,
    NEEDS_MOONSHINE,
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """Return a server that hears, and makes no waves."""
    env = {"RR_STT_ENGINE": "embedded", "RR_WAVES_ENABLED": "false"}
    with Serving(tmp_path, env) as serving:
        serving.wait_for(READY)
        yield serving


def hearing_state(serving: Serving) -> str:
    """Return what the server says of hearing."""
    hearing = json.loads(get(serving.port, "/v1/health/ready").body)["hearing"]
    return str(hearing["state"])


def child(serving: Serving, code: str) -> psutil.Process:
    """Return the child of the server that runs `code`."""
    (found,) = [one for one in serving.children if code in " ".join(one.cmdline())]
    return found


def test_its_children_come_are_replaced_and_go(serving: Serving, tmp_path: Path) -> None:
    """The model is loaded before the first visitor; a kill costs no answer; the stop ends all."""
    recording = encode(spoken("I would like to know why you are so quiet.", tmp_path), "webm")
    first_state = hearing_state(serving)
    until(lambda: hearing_state(serving) == "ok", "the model is loaded")
    model = child(serving, "moonshine_child.py")
    states, pids = [first_state], {model.pid}

    for name in ("", "moonshine_child.py", "decoder/child.py"):
        if name:
            os.kill(child(serving, name).pid, signal.SIGKILL)
        answer = httpx2.post(
            f"http://127.0.0.1:{serving.port}/v1/stt",
            files={"file": ("blob", recording, "audio/webm")},
            timeout=LIMIT_S,
        )
        assert (200, "embedded") == (answer.status_code, answer.json()["engine"]), answer.text
        states.append(hearing_state(serving))
        pids.add(child(serving, "moonshine_child.py").pid)
    children = serving.children
    serving.tell(signal.SIGTERM)
    code = serving.wait(LIMIT_S)
    _, alive = psutil.wait_procs(children, SOON_S)

    assert states[0] in {"warming", "ok"}
    assert ["ok"] * 3 == states[1:]
    assert 2 == len(pids)
    assert (0, []) == (code, alive)
