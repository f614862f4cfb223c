"""The two pages when the server is away, silent, slow or newer than they are."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.backend.serving import READY, Serving
from tests.live import LiveServer, chat
from tests.plugins.console.rooms import (
    CAPTIONS,
    QUESTION,
    hear_all,
    latest_texts,
    room,
    wait_until,
    write,
)
from tests.plugins.console.wire import Wire

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.e2e

LOST_AFTER_S = 3.0
SLOW = {
    "offline": False,
    "latency": 400,
    "downloadThroughput": 100_000,
    "uploadThroughput": 100_000,
}
"""Milliseconds and bytes per second: a phone at the rim of a network."""
LOST = {
    "visitor": "document.querySelector('main')?.innerText.includes('connection is interrupted')",
    "console": "document.querySelector('main')?.innerText.includes('No connection since')",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts root of the module's server."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def live(root: Path) -> Iterator[LiveServer]:
    """Return a server with all that the pages listen to, but the waves."""
    with room(root, stt_engine="embedded") as server:
        yield server


def watch(page: "Page", name: str) -> None:
    """Note in the page when it says that the connection is lost, to the millisecond."""
    page.evaluate(
        f"""() => {{ const look = () => {{
          if ({LOST[name]}) globalThis.lostAt ??= Date.now(); else setTimeout(look, 20);
        }}; look(); }}"""
    )


def lost_at_s(page: "Page") -> float:
    """Wait until the page says that the connection is lost; return since when."""
    return float(wait_until(page, "globalThis.lostAt")) / 1000


def open_console(context: "BrowserContext", url: str) -> "Page":
    """Open the artist's page and wait until it is connected."""
    page = context.new_page()
    page.goto(f"{url}/console#/now")
    page.get_by_text("connected", exact=True).wait_for()
    return page


def test_a_server_that_is_killed_is_missed_and_found_again(
    context: "BrowserContext", tmp_path: Path
) -> None:
    """Both pages say within 3 s that it is away, and what became of the session once it is back."""
    env = {"RR_WAVES_ENABLED": "false", "RR_SUMMARY_TURN": "true"}
    with Serving(tmp_path, env) as server:
        server.wait_for(READY)
        url = f"http://127.0.0.1:{server.port}"
        visitor = context.new_page()
        visitor.goto(url)
        artist = open_console(context, url)
        watch(visitor, "visitor")
        watch(artist, "console")
        write(visitor)
        visitor.locator(".state:not(:empty)").wait_for()  # long before the session is over

        killed_s = time()
        server.tell(signal.SIGKILL)

        for page in (visitor, artist):
            assert lost_at_s(page) - killed_s < LOST_AFTER_S * server.slowness
        port = server.port
    with Serving(tmp_path, env, port=port) as again:
        again.wait_for(READY)
        artist.get_by_text("connected", exact=True).wait_for()
        artist.get_by_text("The server was restarted meanwhile").wait_for()
        visitor.get_by_text("The installation was started again").wait_for()
        write(visitor, "And what does it say now?")
        visitor.locator(".caption").wait_for()
        artist.get_by_text("turn 1 of 4").or_(artist.get_by_text("took")).first.wait_for()


def test_a_connection_that_falls_silent_is_missed_and_what_it_missed_is_told(
    context: "BrowserContext", live: LiveServer
) -> None:
    """Without a word that it is over, the artist's page finds out, and counts what it missed."""
    with Wire(live.port) as wire:
        artist = open_console(context, wire.url)
        chat(live, 1)
        artist.get_by_text("took").first.wait_for()
        watch(artist, "console")
        slowness = max(1.0, _frames_take_s(artist) / 0.1)

        silent_s = time()
        wire.silence()
        assert lost_at_s(artist) - silent_s < LOST_AFTER_S * slowness
        missed = len(chat(live, 1, 2))
        wire.mend()

        artist.get_by_text("missed events came again").wait_for()
        told = artist.locator(".connection").inner_text()
    assert int(told.split(" missed events")[0].split()[-1]) >= missed
    assert "restarted" not in told


def _frames_take_s(page: "Page") -> float:
    """Return how long a page takes for six frames, 0.1 s where nothing else runs."""
    took_ms: float = page.evaluate(
        """async () => { const began = performance.now();
        for (let n = 0; n < 6; n++) await new Promise(requestAnimationFrame);
        return performance.now() - began; }"""
    )
    return took_ms / 1000


def test_a_visitor_on_a_slow_network_hears_everything(
    context: "BrowserContext", live: LiveServer, root: Path
) -> None:
    """Each answer comes 0.4 s late, and 100 kB a second: the visitor waits, and loses nothing."""
    page = context.new_page()
    page.add_init_script(CAPTIONS)
    page.clock.install()
    slow = context.new_cdp_session(page)
    slow.send("Network.enable")
    slow.send("Network.emulateNetworkConditions", SLOW)

    page.goto(live.url)
    page.get_by_role("switch", name="Sound").click()
    write(page)
    captions = hear_all(page)

    assert latest_texts(root) == sorted(captions)
    assert not page.get_by_role("alert").is_visible()


def test_a_reload_in_the_middle_of_a_session_loses_nothing(
    context: "BrowserContext", live: LiveServer, root: Path
) -> None:
    """The question stays, what was interrupted is heard again, and the rest goes on."""
    page = context.new_page()
    page.add_init_script(CAPTIONS)
    page.clock.install()
    page.goto(live.url)
    page.get_by_role("switch", name="Sound").click()
    write(page)
    page.locator(".caption").wait_for()
    while page.evaluate("captions.length") < 3:
        page.clock.fast_forward(1000)
    before = page.evaluate("captions")

    page.reload()
    page.get_by_text(QUESTION).wait_for()
    after = hear_all(page)

    both = before[:-1] + after if before[-1] in after else before + after
    assert latest_texts(root) == sorted(both)


@pytest.mark.parametrize(("path", "ready"), [("/", "Hold to talk"), ("/console", "all parts well")])
def test_a_page_older_than_the_server_loads_itself_once(
    context: "BrowserContext", live: LiveServer, path: str, ready: str
) -> None:
    """After an update the page is loaded again, and not for a second time if that helps nothing."""
    page = context.new_page()
    page.clock.install()
    loads: list[str] = []
    page.on("load", lambda _: loads.append(page.url))
    page.goto(live.url + path)
    page.get_by_text(ready).first.wait_for()

    def update(route: Any) -> None:
        about = {**json.loads(route.fetch().text()), "version": "newer"}
        route.fulfill(json=about)

    page.route("**/v1/page", update)
    with page.expect_event("load"):
        page.clock.run_for(65_000)
    page.get_by_text(ready).first.wait_for()
    with page.expect_response("**/v1/page"):
        page.clock.run_for(65_000)
    page.get_by_text(ready).first.wait_for()
    page.unroute_all(behavior="wait")

    assert 2 == len(loads)
