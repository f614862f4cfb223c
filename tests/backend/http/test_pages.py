"""The pages for a browser: they need nothing from elsewhere."""

import json
import re
from pathlib import Path

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.http.pages import LINKS
from tests.live import LiveServer, get
from tests.plugins.show.listening import found


def text_of(server: LiveServer, path: str) -> str:
    answer = get(server.port, path)
    assert 200 == answer.status
    return answer.body.decode()


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_and_runs_nothing(server: LiveServer, path: str) -> None:
    """No script and no other host stand in it, and the browser is told to allow none."""
    answer = get(server.port, path)

    assert "text/html; charset=utf-8" == answer.headers["content-type"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert re.search(rb"<script|<img|<link|src=|href=\"(?!/)", answer.body) is None


def test_its_links_lead_somewhere(tmp_path: Path) -> None:
    """Each is answered, and they are there as JSON too."""
    with LiveServer(create_app(Settings(artifacts_dir=tmp_path), found("metrics"))) as live:
        page = text_of(live, "/")
        linked = re.findall(r'href="([^"]+)"', page)
        statuses = [get(live.port, path).status for path in linked]
        told = get(live.port, "/", "Accept: application/json")

    assert list(LINKS) == linked
    assert [200] * len(LINKS) == statuses
    assert "application/json" == told.headers["content-type"]


def test_the_description_names_every_route(server: LiveServer) -> None:
    """What OpenAPI describes stands in /docs, with its schemas."""
    page = text_of(server, "/docs")

    for name in ("POST /v1/chat", "GET /v1/health/ready", "ChatRequest"):
        assert f"<summary>{name}</summary>" in page


def test_the_readme_is_the_packages_own(server: LiveServer) -> None:
    """It is served as plain text."""
    assert text_of(server, "/readme").startswith("# Reflective Resonance")


def test_clients_get_json_beside_the_page_of_the_console(tmp_path: Path) -> None:
    """A browser gets the visitor's page, a program the same links as without the console."""
    browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    with LiveServer(create_app(Settings(artifacts_dir=tmp_path), found("console"))) as live:
        page = get(live.port, "/", browser)
        told = get(live.port, "/", "Accept: application/json")

    assert "text/html; charset=utf-8" == page.headers["content-type"]
    assert b"/page/" in page.body
    assert {"name": "Reflective Resonance", "links": list(LINKS)} == json.loads(told.body)
