"""`reflective-resonance stats` against real servers, and against none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import SecretStr
from typer.testing import Result

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import discover
from plugins.metrics import disk
from tests.command import free_port, invoke, run
from tests.live import LiveServer, chat
from tests.patience import LIMIT_S

TOKEN = "a-token-of-the-show"


def serve(root: Path, *names: str, token: str | None = None) -> LiveServer:
    """Return a server with some of the installed plugins."""
    found = [item for item in discover() if item.name in names]
    secret = SecretStr(token) if token else None
    return LiveServer(create_app(Settings(artifacts_dir=root, api_token=secret), found))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server that has had one session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "WAIT_S", LIMIT_S)
        with serve(tmp_path_factory.mktemp("artifacts"), "metrics") as live:
            chat(live, 1)
            yield live


def stats(*arguments: str, **env: str) -> Result:
    """Run the command here."""
    return invoke("stats", *arguments, **env)


def test_the_figures_are_a_table(server: LiveServer) -> None:
    """Each figure has a line in words, with what it goes by and its unit."""
    done = stats("--url", server.url)

    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert (0, "") == (done.exit_code, done.stderr)
    assert "Sessions begun 1" in lines
    assert "Utterances spoken response 1" in lines
    assert "State of each plugin metrics ok" in lines
    assert "Utterances dropped: no waves were tried none" in lines
    assert any(line.startswith("Size on the disk tts ") and line.endswith(" kB") for line in lines)
    assert any(line.startswith("Stage before the waves queued to started ") for line in lines)
    assert any(line.startswith("From speech to waves - - - 0") for line in lines)


@pytest.mark.e2e
def test_the_figures_are_data(server: LiveServer, tmp_path: Path) -> None:
    """As a command of the installation, by the address in the settings, it prints pure JSON."""
    done = run("stats", "--json", cwd=tmp_path, env={"RR_PORT": str(server.port)})

    told = json.loads(done.stdout)
    figures = {figure["name"]: figure for figure in told["figures"]}
    assert (0, "", server.url) == (done.returncode, done.stderr, told["url"])
    started = figures["reflective_resonance_sessions_started"]
    assert [{"labels": {}, "value": 1.0}] == started["values"]
    assert 0 == figures["reflective_resonance_waves_ready_seconds"]["values"][0]["count"]


@pytest.mark.parametrize("by", ["setting", "address without http://"])
def test_no_server_is_said_so(by: str) -> None:
    """Where nobody listens, one line tells what to do; exit code 1."""
    port = str(free_port())

    done = stats(RR_PORT=port) if by == "setting" else stats("--url", f"127.0.0.1:{port}")

    assert (1, "") == (done.exit_code, done.stdout)
    assert f"No server answers at http://127.0.0.1:{port}" in done.stderr
    assert "reflective-resonance serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_token_is_sent(tmp_path: Path) -> None:
    """A server that asks for its token gets the one of the settings; without it, that is said."""
    with serve(tmp_path, "metrics", token=TOKEN) as live:
        without = stats("--url", live.url)
        wrong = stats("--url", live.url, RR_API_TOKEN="another-token")
        right = stats("--url", live.url, RR_API_TOKEN=TOKEN)

    assert (1, 1, 0) == (without.exit_code, wrong.exit_code, right.exit_code)
    assert "set RR_API_TOKEN" in without.stderr
    assert TOKEN not in right.stdout


def test_a_server_without_figures_is_said_so(tmp_path: Path) -> None:
    """With the plugin off there is no such path, and the setting is named."""
    with serve(tmp_path) as live:
        done = stats("--url", live.url)

    assert (1, "") == (done.exit_code, done.stdout)
    assert "RR_METRICS_ENABLED" in done.stderr


@pytest.mark.parametrize("body", ["", "<html>Welcome</html>", "node_load1 0.5\n", "{}"])
def test_another_program_is_not_taken_for_ours(body: str) -> None:
    """Whatever else answers there is named as a stranger."""
    stranger = FastAPI()
    stranger.get("/metrics")(lambda: PlainTextResponse(body))

    with LiveServer(stranger) as live:
        done = stats("--url", live.url)

    assert (1, "") == (done.exit_code, done.stdout)
    assert "is no Reflective Resonance" in done.stderr


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1", "http://[::1"])
def test_an_address_that_is_none_is_said_so(url: str) -> None:
    """A mistyped --url is one line."""
    done = stats("--url", url)

    assert (1, "") == (done.exit_code, done.stdout)
    assert isinstance(done.exception, SystemExit)
    assert url in done.stderr


def test_wrong_settings_are_exit_code_2() -> None:
    """A wrong setting is named as everywhere."""
    done = stats(RR_PORT="0")

    assert (2, "") == (done.exit_code, done.stdout)
    assert "RR_PORT" in done.stderr
