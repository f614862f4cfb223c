"""A server with the pages, and a Chromium for their end-to-end tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered
from plugins.console.settings import plugin
from tests.browser import Launch, launching, visiting
from tests.live import LiveServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server with nothing but the console."""
    settings = Settings(artifacts_dir=tmp_path_factory.mktemp("artifacts"))
    with LiveServer(create_app(settings, [Discovered("console", plugin)])) as live:
        yield live


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    """Return what runs a browser of its own."""
    with launching() as launch:
        yield launch


@pytest.fixture(scope="module")
def browser(launch: Launch) -> "Iterator[Browser]":
    """Return a browser for the tests of a module, with a microphone that beeps."""
    with launch("--use-fake-device-for-media-stream") as browser:
        yield browser


@pytest.fixture
def context(browser: "Browser") -> "Iterator[BrowserContext]":
    """Return the browser as one visitor has it: no cookie, no permission, nothing kept."""
    with visiting(browser) as context:
        yield context


@pytest.fixture
def page(context: "BrowserContext") -> "Page":
    """Return an empty page."""
    return context.new_page()


@pytest.fixture
def context_of(browser: "Browser") -> "Iterator[Callable[[str], Page]]":
    """Return what opens an empty page whose addresses begin with that of a server."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(visiting(browser, base_url=url)).new_page()
