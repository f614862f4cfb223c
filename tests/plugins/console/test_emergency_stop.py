"""The emergency stop in a real browser: by the button, and by the key in every view."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered
from plugins.console.settings import plugin as console
from plugins.playback.settings import plugin as playback
from plugins.show.settings import plugin as show
from tests.live import LiveServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    """Return a server that plays into a file."""
    monkeypatch.setenv("RR_PLAYBACK_ENABLED", "true")
    monkeypatch.setenv("RR_PLAYBACK_FILE", str(tmp_path / "all.wav"))
    plugins = {"console": console, "playback": playback, "show": show}
    found = [Discovered(name, one) for name, one in plugins.items()]
    with LiveServer(create_app(Settings(artifacts_dir=tmp_path / "artifacts"), found)) as server:
        yield server


def is_stopped(live: LiveServer) -> bool:
    with live.client() as client:
        return bool(client.get("/v1/playback").json()["stopped"])


def test_the_key_stops_in_every_view_and_the_button_releases(
    page: "Page", live: LiveServer
) -> None:
    """What is so is said, and the button says what it does."""
    for view in ("now", "health"):
        page.goto(f"{live.url}/console#/{view}")
        page.get_by_role("button", name="Stop playback (Shift+Escape)").wait_for()
        page.keyboard.press("Shift+Escape")
        page.get_by_text("Playback is stopped.").wait_for()
        assert is_stopped(live)
        page.get_by_role("button", name="Release playback").click()
        page.get_by_text("Playback is stopped.").wait_for(state="detached")
        assert not is_stopped(live)


@pytest.mark.parametrize("width", [360, 1200])
def test_what_stops_never_releases(page: "Page", live: LiveServer, width: int) -> None:
    """Whoever presses in haste presses more than once, and anywhere on the button."""
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url.rpartition("/")[2]))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{live.url}/console")
    stop = page.get_by_role("button", name="playback")
    stop.wait_for()
    box = stop.bounding_box()
    assert box
    for share in (0.1, 0.5, 0.9):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.get_by_text("Playback is stopped.").wait_for()
    stop.first.focus()
    for key in ("Enter", "Enter", "Space", "Space", "Shift+Escape"):
        with page.expect_response("**/v1/playback/*"):
            page.keyboard.press(key)
    assert "stop" in asked
    assert "release" not in asked


def test_the_button_stops_and_a_stop_from_elsewhere_is_seen_in_german(
    page: "Page", live: LiveServer
) -> None:
    page.goto(f"{live.url}/console?lang=de")
    page.get_by_role("button", name="Wiedergabe stoppen").click()
    page.get_by_text("Die Wiedergabe ist gestoppt.").wait_for()
    assert is_stopped(live)
    with live.client() as client:
        client.post("/v1/playback/release")
    page.get_by_text("Die Wiedergabe ist gestoppt.").wait_for(state="detached")


def test_without_the_plugin_there_is_no_button(page: "Page", live: LiveServer) -> None:
    """The key does nothing then."""
    with live.client() as client:
        client.post("/v1/plugins/playback", json={"enabled": False})
    page.goto(f"{live.url}/console")
    page.get_by_text("playback is off").wait_for()

    assert 0 == page.get_by_role("button", name="playback").count()
