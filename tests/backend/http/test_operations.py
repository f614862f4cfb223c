"""What an operator looks at: the log's last lines, the settings in force."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from backend.config import Settings
from backend.http.app import create_app
from backend.logs import recent
from tests.live import LiveServer, get
from tests.plugins.show.listening import found

TOKEN = "a-long-token"
ROUTES = ("/v1/logs", "/v1/settings", "/v1/voices")
NOW = datetime.now(UTC)


@pytest.fixture
def lines() -> Iterator[None]:
    """Log five lines of four levels, and one of a library's own level."""
    recent._lines.clear()
    for number, level in enumerate(("debug", "info", "warning", "error", "level 25", "critical")):
        recent.keep(recent.LogLine(NOW, level, "waves were made", {"number": number, "by": None}))
    yield
    recent._lines.clear()


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("?level=debug", [0, 1, 2, 3, 4, 5]),
        ("?level=warning", [2, 3, 4, 5]),
        ("?level=error&limit=2", [4, 5]),
    ],
)
def test_lines_are_those_of_a_level_newest_last(
    server: LiveServer, query: str, numbers: list[int]
) -> None:
    """A level that has no name counts as severe; a limit keeps the newest."""
    with server.client() as client:
        told = client.get(f"/v1/logs{query}").json()["lines"]

    assert numbers == [line["fields"]["number"] for line in told]
    assert {"waves were made"} == {line["event"] for line in told}
    assert NOW == datetime.fromisoformat(told[0]["at"])


@pytest.mark.parametrize("query", ["?level=loud", "?limit=0", "?limit=1001"])
def test_a_wrong_question_for_lines_is_refused(server: LiveServer, query: str) -> None:
    """Level and limit are checked."""
    assert 422 == get(server.port, f"/v1/logs{query}").status


def test_settings_are_those_in_force_and_secrets_are_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its value, source and default; those of a plugin that is off are there too."""
    monkeypatch.setenv("RR_MAX_SESSIONS", "7")
    monkeypatch.setenv("RR_OSC_ENABLED", "false")
    settings = Settings(artifacts_dir=tmp_path, api_token=SecretStr(TOKEN))
    with (
        LiveServer(create_app(settings, found("osc", "show"))) as live,
        live.client(headers={"authorization": f"Bearer {TOKEN}"}) as client,
    ):
        answer = client.get("/v1/settings")

    told = {one["name"]: one for one in answer.json()["settings"]}
    assert {None, "osc", "show"} == {one["plugin"] for one in told.values()}
    assert {
        "name": "RR_MAX_SESSIONS",
        "value": "7",
        "source": "environment",
        "default": "4",
        "meaning": "Sessions that may run at once.",
        "plugin": None,
    } == told["RR_MAX_SESSIONS"]
    assert ("false", "environment") == (
        told["RR_OSC_ENABLED"]["value"],
        told["RR_OSC_ENABLED"]["source"],
    )
    assert ("********", "command line") == (
        told["RR_API_TOKEN"]["value"],
        told["RR_API_TOKEN"]["source"],
    )
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", ROUTES)
def test_they_need_the_token(tmp_path: Path, path: str) -> None:
    """Where a token is set, nobody looks without it."""
    settings = Settings(artifacts_dir=tmp_path, api_token=SecretStr(TOKEN))
    with LiveServer(create_app(settings, [])) as live:
        refused = get(live.port, path)
        admitted = get(live.port, path, f"Authorization: Bearer {TOKEN}")

    assert (401, 200) == (refused.status, admitted.status)
