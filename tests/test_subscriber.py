"""The subscriber with a queue, as its README shows it, in a package of its own."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import readme
from tests.backend.serving import READY
from tests.command import Running, free_port, run
from tests.live import chat_body, events, get, post

pytestmark = pytest.mark.e2e

MODULE = "utterance_list.py"
METADATA = "Metadata-Version: 2.1\nName: utterance-list\nVersion: 1.0\n"
ENTRY_POINTS = "[reflective_resonance.plugins]\nlist = utterance_list:plugin\n"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the subscriber of the README is installed."""
    site = tmp_path / "site"
    information = site / "utterance_list-1.0.dist-info"
    information.mkdir(parents=True)
    text = readme.files("plugins/README.md", "Work that takes time")[MODULE]
    (site / MODULE).write_text(text, encoding="utf-8")
    (information / "METADATA").write_text(METADATA, encoding="utf-8")
    (information / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path, "RR_WAVES_ENABLED": "false", "RR_LIST_FILE": "noted.txt"}


@pytest.fixture
def port() -> int:
    """Return a free port."""
    return free_port()


@pytest.fixture
def serving(installed: dict[str, str], port: int, tmp_path: Path) -> Iterator[Running]:
    """Return a server in that environment."""
    with Running("serve", "--port", str(port), cwd=tmp_path, env=installed) as server:
        server.wait_for(READY)
        yield server


def test_a_second_subscriber_receives_every_utterance(
    serving: Running, port: int, tmp_path: Path
) -> None:
    """Installed and nothing more, it handles each utterance once, in the order of slot.audio."""
    ready = json.loads(get(port, "/v1/health/ready").body)

    answer = post(
        port, "/v1/chat", json.dumps(chat_body(1, 2)).encode(), "Content-Type: application/json"
    )
    figures = get(port, "/metrics").body.decode().splitlines()
    code = serving.stop()

    heard = [
        data["audioPath"]
        for name, data in events(answer.body.decode().splitlines())
        if name == "slot.audio"
    ]
    assert {"state": "ok", "reason": ""} == ready["plugins"]["list"]
    assert 6 == len(heard)
    assert heard == (tmp_path / "noted.txt").read_text(encoding="utf-8").splitlines()
    assert "reflective_resonance_plugin_list_queue_dropped 0.0" in figures
    assert any(line.startswith("reflective_resonance_plugin_list_queue_depth ") for line in figures)
    assert 0 == code
    assert not any("setting is not read" in line for line in serving.log)


def test_its_settings_are_shown_and_switch_it_off(
    installed: dict[str, str], tmp_path: Path
) -> None:
    """Its settings stand beside the host's; switched off it is not started."""
    env = {**installed, "RR_LIST_ENABLED": "false"}

    shown = run("config", "--json", cwd=tmp_path, env=env)
    run("rehearse", "--slots", "1", cwd=tmp_path, env=env)

    settings = json.loads(shown.stdout)["list"]
    assert {"value": "noted.txt", "source": "environment"} == settings["RR_LIST_FILE"]
    assert not (tmp_path / "noted.txt").exists()
