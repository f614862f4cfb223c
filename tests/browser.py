"""The system's Chromium for end-to-end tests, driven by Playwright."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.patience import LIMIT_S
from tests.programs import find_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

Launch = Callable[..., AbstractContextManager["Browser"]]

ASKED = os.environ.get("RR_TEST_CHROMIUM", "")
"""Where this is set, as in CI, a test fails without a browser; elsewhere it is skipped."""
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


def find_chromium() -> str:
    """Return the path of a Chromium; skip the test where there is none."""
    return find_program("Chromium", "RR_TEST_CHROMIUM", Path("/usr/bin/chromium"))


@contextmanager
def launching() -> "Iterator[Launch]":
    """Return what runs a Chromium without a window, with further arguments.

    Playwright leaves its event loop running in this thread meanwhile: no test that is a coroutine
    can run until it is left, and there is only one at a time.
    """
    path = find_chromium()
    if not ASKED:
        pytest.importorskip("playwright", reason="needs Playwright: uv run --group e2e pytest")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:

        @contextmanager
        def launch(*arguments: str) -> "Iterator[Browser]":
            browser = playwright.chromium.launch(
                executable_path=path, args=[*ARGUMENTS, *arguments]
            )
            try:
                yield browser
            finally:
                browser.close()

        yield launch


@contextmanager
def visiting(browser: "Browser", **options: object) -> "Iterator[BrowserContext]":
    """Open a browser of one visitor, who waits patiently; no page of theirs may break a rule.

    An exception that a page does not catch, and whatever its Content-Security-Policy refuses, fails
    the test in the end.
    """
    broken: list[str] = []
    context = browser.new_context(**{"locale": "en-US", **options})  # type: ignore[arg-type]
    context.set_default_timeout(LIMIT_S * 1000)
    context.on("weberror", lambda error: broken.append(str(error.error)))
    context.on("console", lambda said: broken.append(said.text) if _is_refusal(said.text) else None)
    try:
        yield context
    finally:
        context.close()
    assert [] == broken


def _is_refusal(text: str) -> bool:
    return "Content Security Policy" in text or "Permissions policy" in text
