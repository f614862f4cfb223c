"""Servers with everything that the pages show, and what a test sees of a page."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered
from plugins.console.settings import plugin as console
from plugins.recorder.settings import plugin as recorder
from plugins.show.settings import plugin as show
from plugins.stream.settings import plugin as stream
from plugins.waves.settings import plugin as waves
from tests.live import LiveServer
from tests.patience import LIMIT_S

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOOK_EVERY_MS = 20
QUESTION = "What does the water remember?"
MARKUP = f'<img src=/none onerror="hacked = 1"><b>{"bold" * 15}</b>'
"""Does something if a page takes it for HTML, and has a word that is wider than a phone."""
CAPTIONS = """
globalThis.captions = [];
new MutationObserver(() => {
  const text = document.querySelector(".caption .text")?.textContent;
  if (text && text !== captions.at(-1)) captions.push(text);
}).observe(document, {subtree: true, childList: true, characterData: true});
"""
"""Keeps what the visitor's page has shown as being said."""


@contextmanager
def room(
    root: Path,
    *,
    with_waves: bool = False,
    with_recorder: bool = False,
    env: dict[str, str] | None = None,
    **settings: Any,
) -> Iterator[LiveServer]:
    """Run a server with the pages and all that they listen to."""
    plugins = {"console": console, "show": show, "stream": stream}
    if with_waves:
        plugins["waves"] = waves
    if with_recorder:
        plugins["recorder"] = recorder
    found = [Discovered(name, plugin) for name, plugin in plugins.items()]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        chosen = Settings(artifacts_dir=root, **{"seed": 1, "max_sessions": 16, **settings})
        app = create_app(chosen, found)
    with LiveServer(app) as live:
        yield live


def kept(root: Path) -> list[dict[str, Any]]:
    """Return what is kept of each session, the one that was written last at the end."""
    files = sorted(root.glob("tts/sessions/*/session.json"), key=lambda one: one.stat().st_mtime)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def latest_texts(root: Path) -> list[str]:
    """Return what was said in the session that ended last, sorted."""
    return sorted(one["text"] for one in kept(root)[-1]["utterances"])


def wait_until(page: "Page", expression: str) -> Any:
    """Wait until an expression of the page is true; return its value.

    Playwright's own `wait_for_function` evaluates text within the page, which its policy refuses.
    """
    deadline = monotonic() + LIMIT_S
    while not (value := page.evaluate(expression)):
        assert monotonic() < deadline, f"waited in vain: {expression}"
        page.wait_for_timeout(LOOK_EVERY_MS)
    return value


def write(page: "Page", text: str = QUESTION) -> None:
    """Ask in writing on the visitor's page, once it knows who is in the dishes."""
    page.get_by_role("button", name="Dish 1:").wait_for()
    page.get_by_role("textbox").fill(text)
    page.get_by_role("button", name="Send").click()


def hear_all(page: "Page") -> list[str]:
    """Turn the clock of the visitor's page forward until all has been said; return what was."""
    finish = page.get_by_role("button", name="Finish")
    deadline = monotonic() + LIMIT_S
    while not finish.is_visible():
        assert monotonic() < deadline, page.locator("main").inner_text()
        page.clock.fast_forward(1000)
    captions: list[str] = page.evaluate("captions")
    return captions
