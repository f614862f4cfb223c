"""Axe-core checks every view of both pages, in both schemes, small and large."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from pydantic import SecretStr

from tests.live import LiveServer, chat
from tests.plugins.console.rooms import room, write

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

WIDTHS = (360, 1440)
HEIGHT = 900
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
COLORS = """() => {
  const pen = document.createElement("canvas").getContext("2d");
  const behind = getComputedStyle(document.documentElement).backgroundColor;
  const rims = [...document.querySelectorAll(".seat .dish")]
    .map((one) => getComputedStyle(one).borderTopColor);
  return [behind, ...rims].map((color) => {
    for (pen.fillStyle of [behind, color]) pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  });
}"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server with a session in its archive."""
    with room(tmp_path_factory.mktemp("artifacts"), stt_engine="embedded") as server:
        chat(server, 1, 2)
        yield server


def rest(page: "Page") -> None:
    """Open the visitor's page."""
    page.goto("/")
    page.get_by_role("textbox").wait_for()


def answers(page: "Page") -> None:
    """Ask something, and wait for the first answer."""
    rest(page)
    write(page)
    page.locator(".caption").wait_for()


def dish(page: "Page") -> None:
    """Open what a dish has said."""
    rest(page)
    page.get_by_role("button", name="Dish 3:").click()
    page.get_by_role("dialog").wait_for()


def refused(page: "Page") -> None:
    """Let the page say that it may not use the microphone."""
    rest(page)
    page.locator("button.talk").hover()
    page.mouse.down()
    page.get_by_role("alert").wait_for()


def now(page: "Page") -> None:
    """Open the artist's first view."""
    page.goto("/console#/now")
    page.get_by_text("connected", exact=True).wait_for()
    page.locator(".turn").first.wait_for()


def sessions(page: "Page") -> None:
    """Open the list of sessions."""
    page.goto("/console#/sessions")
    page.locator("a.row").first.wait_for()


def session(page: "Page") -> None:
    """Open a session with the sound of an utterance."""
    sessions(page)
    page.locator("a.row").last.click()
    page.locator("article summary").first.click()
    page.get_by_role("button", name="Play voice").wait_for()


def slots(page: "Page") -> None:
    """Open who is in which dish."""
    page.goto("/console#/slots")
    page.get_by_role("heading", level=1, name="Slots").wait_for()
    page.get_by_text("Loading").wait_for(state="detached")


def health(page: "Page") -> None:
    """Open how the installation is."""
    page.goto("/console#/health")
    page.get_by_role("heading", level=1, name="Health").wait_for()
    for title in ("Log", "Settings"):
        page.get_by_role("heading", name=title).click()
    page.get_by_text("RR_PORT").first.wait_for()
    page.get_by_text("Loading").wait_for(state="detached")


VIEWS = (rest, answers, dish, refused, now, sessions, session, slots, health)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_a_view_is_accessible(
    context_of: "Callable[[str], Page]", live: LiveServer, view: "Callable[[Page], None]"
) -> None:
    """Axe-core finds nothing, and nothing is wider than the screen."""
    page = context_of(live.url)
    view(page)

    assert [] == found(page)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_colours_of_all_agents_can_be_seen(
    page: "Page", live: LiveServer, scheme: Literal["light", "dark"]
) -> None:
    """The rim of a dish has at least 3:1 against what is behind it."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(live.url)
    page.get_by_role("button", name="Dish 6:").wait_for()

    colors = page.evaluate(COLORS)
    behind, *rims = [_luminance(color) for color in colors]

    assert 6 == len(rims)
    for rim in rims:
        assert (max(rim, behind) + 0.05) / (min(rim, behind) + 0.05) >= 3, colors


def _luminance(color: list[int]) -> float:
    """Return the relative luminance of WCAG of red, green and blue up to 255."""
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 3294 for c in color]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_the_forms_for_the_token_are_accessible(
    context_of: "Callable[[str], Page]", tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On both pages."""
    root = tmp_path_factory.mktemp("guarded")
    with room(root, api_token=SecretStr("a-long-token")) as server:
        page = context_of(server.url)
        for path in ("/", "/console"):
            page.goto(path)
            page.locator("input[type=password]").wait_for()

            assert [] == found(page), path


def found(page: "Page") -> list[str]:
    """Return what axe-core finds in each scheme and width, and whether the page is too wide."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    faults = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": HEIGHT})
            for fault in axe.run(page).response["violations"]:
                nodes = [node["html"][:200] for node in fault["nodes"][:3]]
                faults.append(f"{scheme} {width}: {fault['id']}: {fault['help']}: {nodes}")
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                faults.append(f"{scheme} {width}: wider than the screen")
    return faults
