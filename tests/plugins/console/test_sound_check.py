"""The buttons of the sound check in a real browser, in both languages, with a server that plays."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered
from plugins.console.settings import plugin as console
from plugins.playback.settings import plugin as playback
from plugins.show.settings import plugin as show
from tests.live import LiveServer
from tests.patience import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    """Return a server that plays into a file, on two channels."""
    dishes = '[[channel]]\nname = "left"\n[[channel]]\nname = "right"\ncap_db = -35.5\n'
    (tmp_path / "dishes.toml").write_text(dishes, "utf-8")
    monkeypatch.setenv("RR_PLAYBACK_ENABLED", "true")
    monkeypatch.setenv("RR_PLAYBACK_DISHES", str(tmp_path / "dishes.toml"))
    monkeypatch.setenv("RR_PLAYBACK_FILE", str(tmp_path / "all.wav"))
    plugins = {"console": console, "playback": playback, "show": show}
    found = [Discovered(name, one) for name, one in plugins.items()]
    with LiveServer(create_app(Settings(artifacts_dir=tmp_path / "artifacts"), found)) as server:
        until(lambda: bool(state(server)["output"]), "the file is open")
        yield server


def state(live: LiveServer) -> Any:
    with live.client() as client:
        return client.get("/v1/playback").json()


def peaks(live: LiveServer) -> list[float]:
    return [one["peak"] for one in state(live)["channels"]]


def opened(page: "Page", live: LiveServer, words: str = "") -> None:
    """Open the sound check."""
    page.goto(f"{live.url}/console{words}#/health")
    page.get_by_text("Sound check").click()
    page.get_by_role("group", name="right").wait_for()


def test_a_channel_is_raised_by_hand_up_to_its_cap(page: "Page", live: LiveServer) -> None:
    """It is heard on its own channel, louder with each step, and no step is left at the cap."""
    opened(page, live)
    right = page.get_by_role("group", name="right")
    louder = right.get_by_role("button", name="Louder")

    right.get_by_role("button", name="Buzz").click()
    page.get_by_text("right plays: Buzz, -40 dB").wait_for()
    until(lambda: 0.008 < peaks(live)[1] < 0.0105, "it is heard")
    louder.click()
    page.get_by_text("right plays: Buzz, -37 dB").wait_for()
    louder.click()
    page.get_by_text("right plays: Buzz, -35.5 dB").wait_for()
    until(lambda: 0.014 < peaks(live)[1] < 0.0169, "it is at its cap")

    assert louder.is_disabled()
    assert 0 == peaks(live)[0]
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("No signal is played.").wait_for()
    until(lambda: peaks(live)[1] < 0.002, "it is silent")


def test_it_is_used_with_the_keyboard_in_german(page: "Page", live: LiveServer) -> None:
    """Tab reaches each button, and Enter presses it."""
    opened(page, live, "?lang=de")
    page.get_by_role("group", name="left").get_by_role("button", name="Nummer").focus()

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    page.get_by_text("left spielt: Brummen, -40 dB").wait_for()
    until(lambda: peaks(live)[0] > 0.008, "it is heard")


def test_leaving_the_view_ends_the_signal(page: "Page", live: LiveServer) -> None:
    """A sweep is not left alone."""
    opened(page, live)
    page.get_by_role("group", name="left").get_by_role("button", name="Sweep").click()
    until(lambda: peaks(live)[0] > 0.008, "it is heard")

    page.get_by_role("link", name="Now").click()

    until(lambda: peaks(live)[0] < 0.002, "it is silent")


def test_why_nothing_is_played_is_said(page: "Page", live: LiveServer) -> None:
    """After an emergency stop, with what to do."""
    opened(page, live)
    with live.client() as client:
        client.post("/v1/playback/stop")

    page.get_by_role("group", name="left").get_by_role("button", name="Buzz").click()

    page.get_by_text("stopped by hand, until POST /v1/playback/release").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_axe_finds_nothing(
    page: "Page", live: LiveServer, scheme: Any, width: int, project_root: Path
) -> None:
    """In both schemes, narrow and wide; and nothing is wider than the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    opened(page, live)

    found = axe.Axe().run(page).response["violations"]

    assert [] == [(one["id"], one["nodes"][0]["html"]) for one in found]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
