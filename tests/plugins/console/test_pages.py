"""The two pages in a real browser: they start, ask for what they name, and nobody else."""

from typing import TYPE_CHECKING

import pytest

from tests.live import LiveServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("path", ["/", "/console"])
def test_a_page_starts_by_itself(page: "Page", server: LiveServer, path: str) -> None:
    """Every request is to the server it came from, and every module is named in the page itself."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(server.url + path)

    page.locator(".writing, .strip").first.wait_for()
    named = page.locator("link[rel=modulepreload]").evaluate_all("all => all.map(one => one.href)")
    assert [] == [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert sorted(named) == sorted(url for url in asked if url.endswith(".mjs"))
