"""The artist's page in a real browser: much, little, odd and gone is shown as it is."""

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from backend.sessions.manifest import Manifest, Utterance, save
from backend.signals import EventPublished, emit, event_published
from backend.storage import Artifacts
from backend.tracking import RECORDING_FILE
from tests.live import LiveServer, chat
from tests.patience import until
from tests.plugins.console.rooms import room, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

SESSIONS = 500
PAGE = 50
LATEST = datetime(2026, 11, 29, 10, tzinfo=UTC)
EVENTS = 1000
BATCH = 50
FOCUSED = "document.activeElement.textContent.trim()"
OUTLINE = "getComputedStyle(document.activeElement).outlineStyle"
AGENT = "o'brien \"&<b>"
"""An agent whose id is in the name of its files."""


def name_of(number: int) -> str:
    """Return the id of a session that is kept, the latest first."""
    return f"{LATEST - timedelta(minutes=20 * number):%Y%m%dT%H%M%SZ}-{number:08x}"


def keep(root: Path, number: int, text: str, *, agent: str = "gpt-4o", speech: bool = False) -> str:
    """Put a session with one utterance on the disk; return its id."""
    artifacts = Artifacts(root)
    at = LATEST - timedelta(minutes=20 * number)
    session_id, path = name_of(number), None
    if speech:
        path = f"tts/sessions/{session_id}/turn_1/slot-1_{agent}_calm_soothing.wav"
        (root / path).parent.mkdir(parents=True)
        soundfile.write(root / path, np.zeros(8000, np.float32), 8000, subtype="PCM_16")
    written = at.isoformat() if path else None
    said = Utterance(1, "response", 1, agent, text, "calm_soothing", None, path, 1.0, written)
    finished = (at + timedelta(seconds=9)).isoformat()
    save(
        Manifest(session_id, {1: agent}, at.isoformat(), "finished", finished, utterances=[said]),
        artifacts,
    )
    return session_id


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an artifacts root with many sessions."""
    root = tmp_path_factory.mktemp("artifacts")
    for number in range(SESSIONS):
        keep(root, number, f"The heron stands at stone {number}.", speech=number < 2)
    return root


@pytest.fixture(scope="module")
def live(root: Path) -> Iterator[LiveServer]:
    """Return a server of that root."""
    with room(root) as server:
        yield server


def test_500_sessions_are_listed_searched_and_opened_by_a_link(
    page: "Page", live: LiveServer
) -> None:
    """They come page by page; words and a day find some; a link leads to one, also tomorrow."""
    page.goto(f"{live.url}/console#/sessions")
    rows, older = page.locator("a.row"), page.get_by_role("button", name="Older sessions")
    rows.first.wait_for()
    assert PAGE == rows.count()
    for shown in range(2 * PAGE, SESSIONS + 1, PAGE):
        older.click()
        rows.nth(shown - 1).wait_for()
    older.wait_for(state="detached")
    assert SESSIONS == rows.count()

    page.get_by_label("Words").fill("stone 321")
    page.get_by_text("1 session", exact=True).wait_for()
    assert "The heron stands at stone 321." in rows.first.inner_text()
    rows.first.click()
    page.locator("article").get_by_text("stone 321").wait_for()
    assert page.url.endswith(f"#/sessions/{name_of(321)}")
    kept = page.context.new_page()
    kept.goto(page.url)
    kept.locator("article").get_by_text("stone 321").wait_for()

    page.go_back()
    page.get_by_label("Words").fill("")
    page.get_by_label("Day").fill("2026-11-27")
    page.locator("section h2").filter(has_text="27 November 2026").wait_for()
    wait_until(page, "document.querySelectorAll('section h2').length === 1")


def test_a_session_that_is_deleted_while_it_is_shown_says_so(
    page: "Page", live: LiveServer, root: Path
) -> None:
    """Once something of it is asked for, the page says that it is gone."""
    page.goto(f"{live.url}/console#/sessions/{name_of(1)}")
    page.locator("article").first.wait_for()
    shutil.rmtree(root / "tts" / "sessions" / name_of(1))

    page.get_by_text("Sound and waves").first.click()

    page.get_by_text("There is no such session").wait_for()


def test_odd_names_of_agents_and_files_are_text(page: "Page", tmp_path: Path) -> None:
    """Quotes and markup in the name of a file do nothing; the server does not send such a file."""
    session_id = keep(tmp_path, 0, "Water.", agent=AGENT, speech=True)
    with room(tmp_path) as server:
        page.goto(f"{server.url}/console#/sessions/{session_id}")
        page.locator("article").get_by_text(AGENT).first.wait_for()
        page.get_by_text("Sound and waves").first.click()
        page.get_by_role("alert").filter(has_text="No finished recording").wait_for()

        assert 0 == page.locator("article b:not(.slot)").count()


def test_a_thousand_events_in_a_second_leave_the_page_usable(
    page: "Page", live: LiveServer
) -> None:
    """Views change while they come, the connection is never lost, and every event arrives."""
    page.goto(f"{live.url}/console#/now")
    page.get_by_text("connected", exact=True).wait_for()
    page.evaluate(
        """() => { globalThis.lost = false; globalThis.frames = 0;
        const look = () => { frames++; lost ||= document.body.innerText.includes("No connection");
          requestAnimationFrame(look); }; look(); }"""
    )
    sender = threading.Thread(target=_flood, args=(live,))
    before = page.evaluate("frames")

    sender.start()
    page.get_by_role("link", name="Sessions").first.click()
    page.get_by_role("heading", name="Sessions", level=1).wait_for()
    page.get_by_role("link", name="Now").first.click()
    page.get_by_role("heading", name="Now", level=1).wait_for()
    sender.join()

    sessions = EVENTS // 20
    page.get_by_text(f"And {sessions - 4} more sessions.").wait_for()
    assert page.evaluate("frames") - before > 10
    assert page.evaluate("lost") is False


def _flood(live: LiveServer) -> None:
    """Publish sessions that begin, in batches over a second."""
    pause = threading.Event()
    for first in range(0, EVENTS, BATCH):
        live.run(_publish(range(first, first + BATCH)))
        pause.wait(BATCH / EVENTS)


async def _publish(numbers: range) -> None:
    for number in numbers:
        session, place = divmod(number, 20)
        session_id = f"20261130T1000{session:02}Z-{session:08x}"
        slot = {"turnIndex": 1, "kind": "response", "slotId": 1 + place // 4, "agentId": "gpt-4o"}
        name, more = ("session.start", {}) if place == 0 else ("slot.start", slot)
        data = json.dumps({"sessionId": session_id, **more})
        emit(event_published, None, EventPublished(session_id, place + 1, name, data))


def test_the_artists_page_needs_no_mouse(page: "Page", live: LiveServer) -> None:
    """The keys alone reach every view, a session and its sound; focus is seen, but on headings."""
    chat(live, 1)
    page.goto(f"{live.url}/console#/now")
    page.get_by_text("connected", exact=True).wait_for()
    for name in ("Sessions", "Slots", "Health", "Now", "Sessions"):
        _press_until(page, f"document.activeElement.matches('nav a') && {FOCUSED} === '{name}'")
        assert "none" != page.evaluate(OUTLINE), name
        page.keyboard.press("Enter")
        wait_until(page, f"document.activeElement.matches('h1') && {FOCUSED}.startsWith('{name}')")
        assert "none" == page.evaluate(OUTLINE), name
        page.get_by_role("status").get_by_text(name).first.wait_for(state="attached")

    page.locator("a.row").first.wait_for()
    _press_until(page, "document.activeElement.matches('a.row')")
    page.keyboard.press("Enter")
    page.locator("article").first.wait_for()
    _press_until(page, "document.activeElement.matches('article summary')")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Play voice").first.wait_for()
    _press_until(page, "document.activeElement.textContent.includes('Play voice')")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").first.wait_for()


def _press_until(page: "Page", condition: str) -> None:
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    raise AssertionError(f"no key leads to where {condition}")


def test_settings_are_read_when_they_are_opened_and_after_a_switch(
    page: "Page", tmp_path: Path
) -> None:
    """What is measured is asked for again and again; the settings are not."""
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url.partition("/v1/")[2]))
    page.clock.install()
    with room(tmp_path) as server:
        page.goto(f"{server.url}/console#/health")
        page.get_by_role("heading", name="Settings").click()
        page.get_by_text("RR_PORT").first.wait_for()
        page.clock.run_for(11_000)
        with page.expect_response("**/v1/health/ready"):
            page.clock.run_for(11_000)
        assert 1 == asked.count("settings")
        assert 3 <= asked.count("health/ready")

        with page.expect_response("**/v1/settings"):
            page.get_by_role("switch", name="Plugin stream").click()
        page.clock.run_for(11_000)
        page.locator(".strip").get_by_text("stream is off").wait_for()
    assert 2 == asked.count("settings")


def test_a_loop_is_stopped_on_a_page_that_was_opened_later(page: "Page", tmp_path: Path) -> None:
    """Whoever started it; then no session runs any more."""
    with room(tmp_path, with_recorder=True) as server, server.client() as client:
        recorded = chat(server, 1)[0][1]["sessionId"]
        file = tmp_path / "tts" / "sessions" / recorded / RECORDING_FILE
        until(lambda: file.exists() and b'"done"' in file.read_bytes(), "the end of its recording")
        request = {"sessionId": recorded, "speed": 0.01, "loop": True}
        started = client.post("/v1/replays", json=request).json()["id"]
        page.goto(f"{server.url}/console#/now")
        page.get_by_text("1 session running").wait_for()
        page.goto(f"{server.url}/console#/sessions/{recorded}")
        page.reload()
        page.get_by_role("button", name="Stop the replay").click()
        page.get_by_role("button", name="Play this session again").wait_for()

        until(lambda: not client.get(f"/v1/replays/{started}").json()["running"], "its end")
        page.get_by_text("no session", exact=True).wait_for()
