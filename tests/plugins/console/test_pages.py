"""The two pages in a real browser: they start, and nothing is asked of another host."""

from typing import TYPE_CHECKING

import pytest

from tests.live import LiveServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("path", ["/", "/console"])
def test_a_page_starts_by_itself(page: "Page", server: LiveServer, path: str) -> None:
    """It shows a heading, and every request it makes is to the server it came from."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(server.url + path)

    page.get_by_role("heading", level=1).first.wait_for()
    assert [] == [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
