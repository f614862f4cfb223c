"""A plugin is stopped and started while the server runs."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from fastapi import APIRouter
from pydantic import SecretStr, model_validator
from pydantic_settings import SettingsConfigDict
from structlog.testing import capture_logs

from backend.config import Settings, one_reading
from backend.errors import PluginError
from backend.http.app import create_app
from backend.http.connections import Connections
from backend.plugins import Discovered, Host, Plugin, PluginSettings, discover
from backend.plugins.testing import held
from backend.signals import tts_written
from tests.live import LiveServer, get
from tests.patience import LIMIT_S, until

CYCLES = 100
EMPTY_M = -9.0
DRY_M = -8.0


class TidesSettings(PluginSettings):
    """Off until it is switched on."""

    model_config = SettingsConfigDict(env_prefix="RR_TIDES_")

    enabled: bool = False
    level_m: float = 0.0

    @model_validator(mode="after")
    def _has_water(self) -> Self:
        if self.enabled and self.level_m == EMPTY_M:
            raise ValueError("RR_TIDES_ENABLED=true needs water")
        return self


router = APIRouter()


@router.get("/v1/tide")
def tide() -> str:
    """Answer."""
    return "high"


@asynccontextmanager
async def lifespan(_: Host, settings: TidesSettings) -> Any:
    """Wait in a task group, which only the task that opened it may close."""
    if settings.level_m < 0:
        raise PluginError("no spring") if settings.level_m == DRY_M else RuntimeError("no water")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.Event().wait())
        with tts_written.connected_to(lambda _, *, event: None):
            yield settings.level_m
        task.cancel()


def refuses(level_m: float) -> str:
    """Refuse at high tide."""
    return "the tide is high" if level_m > 5 else ""


NEEDED = {
    "RR_OSC_TARGETS": "127.0.0.1:9",
    "RR_WEBHOOK_URLS": "http://127.0.0.1:9/",
    "RR_WEBHOOK_SECRET": "bm9ib2R5IGlzIHRvbGQ=",
}
"""What plugins need before they can be switched on."""
TIDES = Plugin("tides", TidesSettings, lifespan, router=router, refuses=refuses)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    app = create_app(Settings(artifacts_dir=tmp_path), [Discovered("tides", TIDES)])
    with LiveServer(app) as live:
        yield live


def switch(server: LiveServer, name: str, on: object, **headers: str) -> tuple[int, Any]:
    with server.client() as client:
        answer = client.post(f"/v1/plugins/{name}", json={"enabled": on}, headers=headers)
        return answer.status_code, answer.json()


def test_a_plugin_that_was_off_is_switched_on_with_its_routes(server: LiveServer) -> None:
    """It starts, its routes answer, and it stops again; its settings are not changed."""
    assert 404 == get(server.port, "/v1/tide").status

    assert (200, {"state": "ok", "reason": ""}) == switch(server, "tides", True)
    assert 200 == get(server.port, "/v1/tide").status
    assert (200, {"state": "ok", "reason": ""}) == switch(server, "tides", True)
    assert 1 == len(tts_written.connections)
    assert (200, "disabled") == (lambda done: (done[0], done[1]["state"]))(
        switch(server, "tides", False)
    )
    assert 0 == len(tts_written.connections)


def test_its_settings_are_read_anew(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting leaves it off and is told; a plugin that fails to start is `failed`."""
    monkeypatch.setenv("RR_TIDES_LEVEL_M", "much")
    status, problem = switch(server, "tides", True)
    assert (409, True) == (status, "RR_TIDES_LEVEL_M" in problem["detail"])

    monkeypatch.setenv("RR_TIDES_LEVEL_M", "-1")
    assert (200, {"state": "failed", "reason": "RuntimeError: no water"}) == (
        switch(server, "tides", True)
    )
    monkeypatch.setenv("RR_TIDES_LEVEL_M", "1")
    assert (200, {"state": "ok", "reason": ""}) == switch(server, "tides", True)


def test_what_is_in_the_file_is_read_anew(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that was written into `.env` after the start of the server counts."""
    monkeypatch.chdir(tmp_path)
    switches = server.app.state.hosting.switches

    with one_reading():  # as the command `serve` runs in one
        Settings.load()
        Path(".env").write_text("RR_TIDES_LEVEL_M=3\n", encoding="utf-8")
        server.run(switches.switch("tides", enabled=True))

    assert 3 == switches.settings["tides"].level_m


def test_what_it_needs_to_run_is_asked_for(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that a start with it refuses, a switch refuses too, with the same sentence."""
    monkeypatch.setenv("RR_TIDES_LEVEL_M", str(EMPTY_M))

    status, problem = switch(server, "tides", True)

    assert (409, "RR_TIDES_ENABLED=true needs water") == (status, problem["detail"])
    assert 0 == len(tts_written.connections)


def test_an_expected_failure_is_one_line(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PluginError at the start is its sentence, without a traceback; the server is degraded."""
    monkeypatch.setenv("RR_TIDES_LEVEL_M", str(DRY_M))

    with capture_logs() as logs:
        assert (200, {"state": "failed", "reason": "no spring"}) == switch(server, "tides", True)

    failed = next(line for line in logs if line["log_level"] == "error")
    assert ("no spring", False) == (failed["reason"], failed["exc_info"])
    with server.client() as client:
        assert "degraded" == client.get("/v1/health/ready").json()["status"]


def test_a_plugin_may_refuse(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reason is told, and it goes on."""
    monkeypatch.setenv("RR_TIDES_LEVEL_M", "6")
    switch(server, "tides", True)

    status, problem = switch(server, "tides", False)

    assert (409, "the plugin tides is not stopped: the tide is high") == (
        status,
        problem["detail"],
    )
    assert 1 == len(tts_written.connections)


def test_only_who_may_can_switch(tmp_path: Path) -> None:
    """With a token it is needed; an unknown plugin and a wrong body are told."""
    settings = Settings(artifacts_dir=tmp_path, api_token=SecretStr("canary-token"))
    with LiveServer(create_app(settings, [Discovered("tides", TIDES)])) as server:
        assert 401 == switch(server, "tides", True)[0]
        key = {"authorization": "Bearer canary-token"}
        assert 200 == switch(server, "tides", True, **key)[0]
        status, problem = switch(server, "no", True, **key)
        assert (404, True) == (status, "start the server again" in problem["detail"])
        assert 422 == switch(server, "tides", "maybe", **key)[0]


@pytest.mark.parametrize("proxies", [(), ("127.0.0.1",)])
def test_from_another_machine_nobody_can_switch_without_a_token(
    tmp_path: Path, proxies: tuple[str, ...]
) -> None:
    """On an open network, plugins are switched from this machine alone, and by no proxy on it."""
    app = create_app(Settings(artifacts_dir=tmp_path), [Discovered("tides", TIDES)])
    connections = Connections(LIMIT_S, trusted_proxies=proxies)
    with LiveServer(app, connections) as server:
        forwarded = {"x-forwarded-for": "192.0.2.1"}
        status, problem = switch(server, "tides", True, **forwarded)

    assert (403, True) == (status, "RR_API_TOKEN" in problem["detail"])


@pytest.mark.e2e
@pytest.mark.parametrize("found", discover(), ids=lambda one: one.name)
def test_what_a_plugin_held_is_released(
    tmp_path: Path, found: Discovered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After many switches there are as many threads, tasks, processes, files and receivers."""
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    app = create_app(Settings(artifacts_dir=tmp_path), [found])
    with LiveServer(app) as server, server.client() as client:

        def turn(on: bool) -> None:
            answer = client.post(f"/v1/plugins/{found.name}", json={"enabled": on})
            assert 200 == answer.status_code, answer.text

        for on in (True, False) * 3:
            turn(on)
        before, tasks = held(), server.run(_tasks())
        for on in (True, False) * CYCLES:
            turn(on)

        def is_released() -> bool:
            now = held()
            released = all(now[key] <= before[key] for key in now)
            return released and server.run(_tasks()) <= tasks

        until(is_released, f"{before} and {tasks} tasks again, not {held()}")


async def _tasks() -> int:
    return len(asyncio.all_tasks())
