"""Whichever plugins run and whatever they do, the visitor's stream is the same, byte for byte."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered, Host, Plugin, PluginSettings, discover, switches
from backend.plugins.loader import GROUP
from backend.plugins.testing import zoo
from tests import installed
from tests.command import environment
from tests.live import LiveServer, chat_body, chunks, post
from tests.patience import LIMIT_S

pytestmark = pytest.mark.e2e

SESSION_ID = re.compile(rb"\d{8}T\d{6}Z-[0-9a-f]{8}")
NOT_LOADED = (
    "at_import:plugin",
    "exits_at_import:plugin",
    "missing:plugin",
    ":missing",
    ":__doc__",
)
"""Entry points of `tests.data.troubles` behind which there is no plugin."""
FAILED = {
    "has_wrong_settings",
    "has_no_lifespan",
    "is_no_context_manager",
    "raises_at_start",
    "exits_at_start",
    "hangs_at_start",
}
UNSEEN = {"forks", "leaks", "deletes_the_artifacts"}
"""What no host sees: its process may do so."""
AUDIO = b"event: slot.audio"
SELECTIONS = [*((name,) for name in installed.NAMES), installed.NAMES]


def streams(
    root: Path, found: list[Discovered]
) -> tuple[list[bytes], list[bytes], dict[str, str], list[str]]:
    """Return the chunks of sessions of 1 and 6 slots, the states, and whom the log names."""
    settings = Settings(artifacts_dir=root, seed=1)
    with capture_logs() as logs, LiveServer(create_app(settings, found)) as live:
        one, six = (session(live, *slots) for slots in ((1,), (1, 2, 3, 4, 5, 6)))
        with live.client() as client:
            plugins = client.get("/v1/health/ready").json()["plugins"]
    states = {name: plugin["state"] for name, plugin in plugins.items()}
    told = [log.get("plugin", "") for log in logs if log["log_level"] in {"error", "warning"}]
    return one, sorted(six, key=turn_and_slot), states, told


def session(server: LiveServer, *slot_ids: int) -> list[bytes]:
    """Return the chunks of one session, its id taken out."""
    body = json.dumps(chat_body(*slot_ids)).encode()
    answer = post(server.port, "/v1/chat", body, "Content-Type: application/json")
    return [SESSION_ID.sub(b"SESSION", chunk) for chunk in chunks(answer.body)]


def turn_and_slot(chunk: bytes) -> tuple[int, int]:
    """Return what an event is sorted by: slots of a turn interleave freely, each in its order."""
    data = json.loads(chunk.partition(b"\ndata: ")[2])
    last = 7 if chunk.startswith(b"event: turn.done") else 0
    end = 4 if chunk.startswith(b"event: done") else 0
    return data.get("turnIndex", end), data.get("slotId", last)


def ends(chunks: list[bytes]) -> list[bytes]:
    """Return the names of the events; speech that could not be written counts as speech."""
    names = [chunk.partition(b"\n")[0] for chunk in chunks]
    return sorted(AUDIO if name == b"event: slot.error" else name for name in names)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], list[bytes]]:
    """Return the sessions of a host that has no plugin."""
    one, six, _, _ = streams(tmp_path_factory.mktemp("plain"), [])
    assert 11 == len(one)
    assert 6 * 3 * 2 < len(six)
    return one, six


@pytest.mark.parametrize("value", NOT_LOADED)
def test_a_plugin_that_cannot_be_loaded_changes_nothing(
    value: str, plain: tuple[list[bytes], list[bytes]], tmp_path: Path
) -> None:
    """The stream is that of a host without plugins, its state is shown, the log has it."""
    point = EntryPoint("troubled", f"tests.data.troubles{value}", GROUP)
    with capture_logs() as logs:
        found = discover([point])

    one, six, states, _ = streams(tmp_path, found)

    assert plain == (one, six)
    assert {"troubled": "failed"} == states
    assert logs, "nobody was told"


@pytest.fixture
def witness() -> Iterator[tuple[Discovered, Counter[str]]]:
    """Return a plugin that counts the signals it hears after the bad one."""
    heard: Counter[str] = Counter()

    def receive(_: object, *, event: object) -> None:
        heard[type(event).__name__] += 1

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        with ExitStack() as stack:
            for signal in zoo.SIGNALS:
                stack.enter_context(signal.connected_to(receive))
            yield

    yield Discovered("witness", Plugin("witness", PluginSettings, lifespan)), heard
    zoo.release()


@pytest.mark.parametrize("name", zoo.ZOO)
def test_the_zoo_changes_nothing(
    name: str,
    plain: tuple[list[bytes], list[bytes]],
    witness: tuple[Discovered, Counter[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stream is that of a host without plugins, others hear all, the log names the plugin."""
    monkeypatch.setattr(switches, "START_LIMIT_S", 0.5)
    monkeypatch.setattr(switches, "STOP_LIMIT_S", 0.5)
    good, heard = witness

    one, six, states, told = streams(tmp_path, [Discovered(name, zoo.ZOO[name]), good])

    if name == "deletes_the_artifacts":  # what is being written at that moment is lost
        assert [*map(ends, plain)] == [*map(ends, (one, six))]
    else:
        assert plain == (one, six)
    state = {"has_no_routes": "degraded"}.get(name, "failed" if name in FAILED else "ok")
    assert {name: state, "witness": "ok"} == states
    spoken = sum(chunk.startswith(AUDIO) for chunk in one + six)
    sent = {"SessionStarted": 2, "TtsWritten": spoken, "TurnFinished": 6, "SessionFinished": 2}
    assert sent == heard
    assert name in UNSEEN or name in told, "nobody was told"


@pytest.mark.parametrize("on", SELECTIONS, ids="+".join)
def test_plugins_that_run_change_nothing(
    on: tuple[str, ...],
    plain: tuple[list[bytes], list[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each plugin alone, and all of them together, leave the stream that of a host with none."""
    monkeypatch.setenv("RR_WAVES_STOP_LIMIT_S", "0")
    for name, value in installed.switches(*on).items():
        monkeypatch.setenv(name, value)

    one, six, states, _ = streams(tmp_path, discover())

    assert plain == (one, six)
    running = {"ok", "warming"} | ({"degraded"} if installed.ALONE.intersection(on) else set())
    assert set(on) == {name for name, state in states.items() if state in running}
    assert set(installed.NAMES) - set(on) == {
        name for name, state in states.items() if state == "disabled"
    }


SERVE = """
import json, sys
from pathlib import Path
from backend.http.app import create_app
from backend.config import (Settings)
from tests.live import LiveServer, chat

if __name__ == "__main__":
    app = create_app(Settings.load())
    with LiveServer(app) as live, live.client() as client:
        events = chat(live, 1, 2)
        state = client.get("/v1/health/ready").json()["plugins"]["waves"]["state"]
    loaded = sorted(sys.modules)
    print(json.dumps({"last": events[-1], "state": state, "modules": loaded}))
"""

REHEARSE = """
import json, sys
from backend.cli import (app)

if __name__ == "__main__":
    try:
        app(["rehearse", "--slots", "1", "--json"])
    except SystemExit as end:
        print(json.dumps({"code": end.code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


@pytest.fixture
def project(project_root: Path) -> dict[str, str]:
    """Return an environment in which the tests' own modules can be imported."""
    return {"PYTHONPATH": str(project_root)}


def run(program: str, directory: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a Python program of its own."""
    path = directory / "program.py"
    path.write_text(program, encoding="utf-8")
    return subprocess.run(
        [sys.executable, path],
        cwd=directory,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )


def test_waves_turned_off_are_not_there(project: dict[str, str], tmp_path: Path) -> None:
    """Off, nothing is scheduled, only its settings and what others hear of it are imported."""
    done = run(SERVE, tmp_path, {**project, "RR_WAVES_ENABLED": "false"})

    told = json.loads(done.stdout.splitlines()[-1])
    assert ("disabled", "done") == (told["state"], told["last"][0])
    loaded = {name for name in told["modules"] if name.startswith("plugins.waves")}
    assert loaded <= {"plugins.waves", "plugins.waves.settings", "plugins.waves.signals"}
    assert not (tmp_path / "artifacts/waves").exists()


def test_the_parent_never_imports_the_audio_libraries(
    project: dict[str, str], tmp_path: Path
) -> None:
    """A process that has waves made, from warm-up to stop, loads no librosa, numba or scipy."""
    done = run(REHEARSE, tmp_path, {**project, "RR_WAVES_MAX_WORKERS": "1"})

    told = json.loads(done.stderr.splitlines()[-1])
    assert 0 == told["code"]
    assert json.loads(done.stdout)["ok"]
    assert "plugins.waves.pool.pool" in told["modules"]
    heavy = {"librosa", "numba", "scipy", "llvmlite", "sklearn"}
    assert [] == [name for name in told["modules"] if name.partition(".")[0] in heavy]
