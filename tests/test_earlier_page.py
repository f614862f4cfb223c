"""The page of the earlier version speaks to this server unchanged, without a console message."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.config import Settings
from backend.http.app import create_app
from tests.earlier_page import EarlierPage
from tests.live import LiveServer

AGENTS = ("claude-sonnet-4-5", "claude-opus-4-5", "gpt-5.2", "gpt-5.1", "gpt-4o", "gemini-3")


@pytest.fixture(params=[False, True], ids=["A", "B"])
def summary(request: pytest.FixtureRequest) -> bool:
    """Return whether there is a turn 4: the page was at first A, later B."""
    return bool(request.param)


@pytest.fixture
def page(tmp_path: Path, summary: bool) -> Iterator[EarlierPage]:
    settings = Settings(artifacts_dir=tmp_path, seed=1)
    with LiveServer(create_app(settings, [])) as live, live.client() as client:
        yield EarlierPage(client)


def test_a_visit_leaves_no_console_message(page: EarlierPage) -> None:
    """Every event is one that the page knows, and the last one is `done`."""
    told = page.send("What does the water remember?", *AGENTS)

    assert [] == page.warnings
    assert ("turn.start", "done") == (told[0][0], told[-1][0])
