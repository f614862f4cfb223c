"""The visitor's page in a real browser: whoever asks, by voice or in writing, is answered."""

import base64
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from backend.agents.models import client
from backend.agents.rehearsal import play
from tests.browser import Launch, visiting
from tests.live import LiveServer
from tests.patience import until
from tests.plugins.console.rooms import (
    CAPTIONS,
    LOOK_EVERY_MS,
    MARKUP,
    QUESTION,
    hear_all,
    kept,
    latest_texts,
    room,
    wait_until,
    write,
)
from tests.recordings import NEEDS_MOONSHINE, RATE, spoken

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

pytestmark = pytest.mark.e2e

SENTENCE = "What does the water remember of the winter?"
WORDS = {"water", "remember", "winter"}
PAUSE_S = 0.4
WIDTH = "document.documentElement.scrollWidth"
KEEP_FIELD = """() => {
  globalThis.bottoms = new Set();
  new MutationObserver(() => {
    const field = document.querySelector(".writing");
    if (field) bottoms.add(field.getBoundingClientRect().bottom);
  }).observe(document, {subtree: true, childList: true});
}"""
"""Keeps where the field to write in ends, whatever is said above it."""
FARADAY = {"RR_WAVES_PROFILES": "v3,faraday"}
V3 = [f"waves/sessions/s/turn_1/slot-1_heron_calm_v3_wave{number}.wav" for number in (1, 2, 3)]
FOLLOWED = {"id": "s", "question": "Who is there?", "heard": []}
SURFACE = """[...document.querySelectorAll(".speaking canvas")]
  .filter((canvas) => canvas.clientWidth === canvas.width)
  .map((canvas) => canvas.getContext("2d").getImageData(0, 0, 1, 1).data[3])
  .reduce((_, alpha) => +(alpha > 0), -1)"""
"""1 if the dish of whoever speaks is filled to its corner, which rings do not reach; 0 if not."""
RECORDED_S = "parseFloat(document.querySelector('.talk .time')?.textContent)"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server that hears, with all that the pages listen to, but the waves."""
    with room(tmp_path_factory.mktemp("artifacts"), stt_engine="embedded") as server:
        yield server


def open_page(context: "BrowserContext", address: str) -> "Page":
    """Open the visitor's page, with a clock that the test can turn, and without sound."""
    page = context.new_page()
    page.add_init_script(CAPTIONS)
    page.clock.install()
    page.goto(address)
    page.get_by_role("switch", name="Sound").click()
    return page


@NEEDS_MOONSHINE
def test_a_visitor_speaks_and_is_answered_by_voices_and_waves(
    launch: Launch, tmp_path: Path
) -> None:
    """What is said while the button is held is understood; every utterance comes with its waves."""
    pause = np.zeros(round(PAUSE_S * RATE), np.float32)
    recording = np.concatenate([pause, spoken(SENTENCE, tmp_path), pause])
    soundfile.write(tmp_path / "microphone.wav", recording, RATE, subtype="PCM_16")
    microphone = (
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={tmp_path / 'microphone.wav'}",
    )
    root = tmp_path / "artifacts"
    peaks: list[str] = []
    with (
        room(root, with_waves=True, env=FARADAY, stt_engine="embedded") as server,
        launch(*microphone) as browser,
        visiting(browser, permissions=["microphone"]) as context,
    ):
        artist = context.new_page()
        artist.goto(f"{server.url}/console#/now")
        artist.get_by_text("connected", exact=True).wait_for()
        context.on("response", lambda answer: peaks.append(answer.url) if answer.ok else None)
        page = open_page(context, server.url)

        page.get_by_role("button", name="Hold to talk").hover()
        page.mouse.down()
        wait_until(page, f"{RECORDED_S} >= {2 * len(recording) / RATE}")  # it may begin anywhere
        page.mouse.up()
        said = page.locator(".question").inner_text().lower()
        captions = hear_all(page)
        count = len(captions)
        artist.get_by_text(f"{count} utterances, {count} with waves").first.wait_for()
        until(lambda: _is_asked(page, peaks, "/v1/water/waves/"), "the water of one is there")

    assert len(WORDS & set(re.findall(r"\w+", said))) >= 2, said
    assert latest_texts(root) == sorted(captions)
    assert {1, 2, 3} == {one["turn_index"] for one in kept(root)[-1]["utterances"]}
    waves = {url for url in peaks if re.search(r"/v1/audio/waves/.*wave[123]\.wav\?peaks=", url)}
    assert 3 * count == len(waves)


def _is_asked(page: "Page", urls: list[str], part: str) -> bool:
    page.wait_for_timeout(LOOK_EVERY_MS)  # answers are told meanwhile
    return any(part in url for url in urls)


def test_a_dish_shows_the_surface_of_its_water(page: "Page", server: LiveServer) -> None:
    """In step with what is spoken; with reduced motion, or without an answer, it shows rings."""
    slot = {"turnIndex": 1, "kind": "response", "slotId": 1, "agentId": "heron"}
    path = "waves/sessions/s/turn_1/slot-1_heron_calm_faraday_wave1.wav"
    sent = [
        ("session.start", {}),
        ("slot.done", {**slot, "text": "word " * 2000, "voiceProfile": "calm"}),
        ("slot.audio", {**slot, "audioPath": "tts/sessions/s/turn_1/slot-1_heron_calm.wav"}),
        ("slot.waves", {**slot, "files": [*V3, path]}),
    ]
    body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in sent)
    one = np.ones((30 * 600, 1, 2), "<i2").tobytes()
    answer = {"perSecond": 30, "carrierHz": 10, "orders": [1], "zeros": [1.84]}
    answer["amplitudes"] = base64.b64encode(one).decode()
    statuses = [200, 503]
    page.route(
        "**/v1/sessions/s/events",
        lambda route: route.fulfill(body=body, content_type="text/event-stream"),
    )
    page.route("**/v1/water/**", lambda route: route.fulfill(status=statuses[0], json=answer))
    page.add_init_script(f"sessionStorage['rr.session'] ??= '{json.dumps(FOLLOWED)}'")

    with page.expect_request(f"**/v1/water/{path}"):
        page.goto(server.url)

    wait_until(page, f"{SURFACE} === 1")
    page.emulate_media(reduced_motion="reduce")
    wait_until(page, f"{SURFACE} === 0")
    page.emulate_media(reduced_motion="no-preference")
    wait_until(page, f"{SURFACE} === 1")
    statuses.pop(0)
    with page.expect_response(lambda response: response.status == 503):
        page.reload()
    wait_until(page, f"{SURFACE} === 0")


def test_two_visitors_who_write_at_once_each_hear_their_own_answers(
    browser: "Browser", tmp_path: Path
) -> None:
    """Their questions stand on their own pages, and so does what was answered to each."""
    questions = ("Where does the river begin?", "Why is the moon so bright?")
    with (
        room(tmp_path) as server,
        visiting(browser) as first,
        visiting(browser) as second,
    ):
        pages = [open_page(context, server.url) for context in (first, second)]
        for page, question in zip(pages, questions, strict=True):
            write(page, question)
        for page, question in zip(pages, questions, strict=True):
            assert question in page.locator(".question").inner_text()
        captions = [hear_all(page) for page in pages]

        pages[0].get_by_role("button", name=re.compile("^Dish 3:")).click()
        words = pages[0].get_by_role("dialog").inner_text()

    sessions = [sorted(one["text"] for one in session["utterances"]) for session in kept(tmp_path)]
    assert sorted(sessions) == sorted(map(sorted, captions))
    assert captions[0] != captions[1]
    own = [one["text"] for s in kept(tmp_path) for one in s["utterances"] if one["slot_id"] == 3]
    assert 2 <= sum(text in words for text in own) <= 3


def test_what_visitors_and_agents_say_is_text(
    context: "BrowserContext", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markup and long words are shown as they are, do nothing, and fit on a phone."""

    def play_with_markup(profile: Any, turn: Any) -> dict[str, object]:
        said = play(profile, turn)
        return {k: f"{v} {MARKUP}" if k in {"text", "comment"} else v for k, v in said.items()}

    monkeypatch.setattr(client, "play", play_with_markup)
    with room(tmp_path) as server:
        page = open_page(context, server.url)
        page.set_viewport_size({"width": 360, "height": 740})
        page.get_by_role("textbox").fill(MARKUP)
        assert 360 == page.evaluate(WIDTH)
        write(page, MARKUP)
        page.locator(".question").get_by_text(MARKUP).wait_for()
        page.locator(".hearing").wait_for()
        page.evaluate(KEEP_FIELD)
        captions = hear_all(page)
        (bottom,) = page.evaluate("[...bottoms]")
        assert bottom <= 740
        page.get_by_role("button", name=re.compile("^Dish 3:")).click()
        page.get_by_role("dialog").get_by_text(MARKUP).first.wait_for()
        (session,) = kept(tmp_path)
        artist = context.new_page()
        artist.set_viewport_size({"width": 360, "height": 740})
        artist.goto(f"{server.url}/console#/now")
        artist.get_by_text("took").first.wait_for()
        artist.locator("details summary").first.click()
        artist.get_by_text(MARKUP).first.wait_for()
        artist.goto(f"{server.url}/console#/sessions/{session['session_id']}")
        artist.locator("article").get_by_text(MARKUP).first.wait_for()

    assert [one for one in captions if MARKUP in one] == captions != []
    for one in (page, artist):
        assert 0 == one.locator("main img, main p b:not(.slot)").count()
        assert one.evaluate("globalThis.hacked") is None
        assert 360 == one.evaluate(WIDTH)


def offers_writing(page: "Page", says: str) -> None:
    """Wait for what the page says, and ask in writing instead."""
    page.get_by_role("alert").filter(has_text=says).wait_for()
    page.mouse.up()
    write(page)
    page.locator(".caption").wait_for()


def hold(page: "Page") -> None:
    """Press the button that records."""
    page.get_by_role("button", name="Hold to talk").hover()
    page.mouse.down()


def test_a_visitor_who_refuses_the_microphone_can_write(page: "Page", live: LiveServer) -> None:
    """The page says where that can be changed, and takes written words."""
    page.goto(live.url)
    hold(page)

    offers_writing(page, "The microphone is not allowed.")


def test_a_visitor_without_a_microphone_can_write(launch: Launch, live: LiveServer) -> None:
    """Where none is connected the page says so."""
    with launch() as browser, visiting(browser, permissions=["microphone"]) as context:
        page = context.new_page()
        page.goto(live.url)
        hold(page)

        offers_writing(page, "No microphone was found.")


def test_on_an_insecure_address_a_visitor_can_write(launch: Launch, tmp_path: Path) -> None:
    """A browser gives no microphone to a page that came over plain HTTP from another machine."""
    name = "water.example"
    with (
        room(tmp_path, stt_engine="embedded", allowed_hosts=(name,)) as server,
        launch(f"--host-resolver-rules=MAP {name} 127.0.0.1") as browser,
        visiting(browser) as context,
    ):
        page = context.new_page()
        page.goto(f"http://{name}:{server.port}")
        hold(page)

        assert page.evaluate("isSecureContext") is False
        offers_writing(page, "The microphone needs a secure address")


def test_what_is_too_short_or_not_understood_is_said(browser: "Browser", live: LiveServer) -> None:
    """Each has its own sentence, and the visitor may speak again or write."""
    with visiting(browser, permissions=["microphone"]) as context:
        page = context.new_page()
        page.goto(live.url)
        page.get_by_role("button", name="Hold to talk").click()
        page.get_by_role("alert").filter(
            has_text=re.compile("too short|Hold the button")
        ).wait_for()

        for status, says in ((422, "No words were understood."), (503, "Please write instead.")):
            problem = {"title": "No", "status": status, "detail": "No."}
            page.route("**/v1/stt", partial(_answer, status=status, problem=problem))
            hold(page)
            wait_until(page, f"{RECORDED_S} > 0.5")
            page.mouse.up()
            page.get_by_role("alert").filter(has_text=says).wait_for()

        offers_writing(page, "Please write instead.")


def _answer(route: "Route", *, status: int, problem: dict[str, object]) -> None:
    route.fulfill(status=status, json=problem, content_type="application/problem+json")


def test_while_the_server_is_away_a_question_is_kept(page: "Page", live: LiveServer) -> None:
    """It can be sent again, as it was written; nothing answers it but its own session."""
    page.goto(live.url)
    write(page, "Who is there?")
    page.locator(".caption").wait_for()
    page.route("**/v1/chat", lambda route: route.abort())
    write(page)
    page.get_by_role("alert").filter(has_text="The installation does not answer.").wait_for()
    assert 0 == page.locator(".caption").count()
    page.unroute("**/v1/chat")

    page.get_by_role("button", name="Try again").click()

    page.locator(".question").get_by_text(QUESTION).wait_for()
    page.locator(".caption").wait_for()


def test_a_recording_that_could_not_be_sent_is_sent_again(
    browser: "Browser", live: LiveServer
) -> None:
    """Whatever fails on the way, the visitor need not say it a second time."""
    sent: list[bytes] = []

    def answer(route: "Route") -> None:
        sent.append((route.request.post_data_buffer or b"").partition(b"RIFF")[2])
        if len(sent) == 1:
            route.abort()
        elif len(sent) == 2:
            _answer(route, status=502, problem={"title": "No"})
        else:
            route.fulfill(json={"transcript": QUESTION, "sttSessionId": None})

    with visiting(browser, permissions=["microphone"]) as context:
        page = context.new_page()
        page.goto(live.url)
        page.route("**/v1/stt", answer)
        hold(page)
        wait_until(page, f"{RECORDED_S} > 0.5")
        page.mouse.up()
        for says in ("The installation does not answer.", "Speech cannot be understood"):
            page.get_by_role("alert").filter(has_text=says).wait_for()
            page.get_by_role("button", name="Try again").click()
        page.locator(".question").get_by_text(QUESTION).wait_for()
        page.locator(".caption").wait_for()

    assert {3: 1} == {len(sent): len({one[:10_000] for one in sent})}
    assert len(sent[0]) > 0.5 * 2 * 16_000


def test_a_visitor_sees_how_long_to_wait(page: "Page", live: LiveServer) -> None:
    """The seconds are counted down; then the same question can be sent."""
    page.clock.install()
    page.goto(live.url)
    page.get_by_role("textbox").wait_for()
    page.route(
        "**/v1/chat",
        lambda route: route.fulfill(status=503, headers={"retry-after": "90"}, json={}),
    )
    write(page)
    timer, again = page.get_by_role("timer"), page.get_by_role("button", name="Try again")
    timer.get_by_text(re.compile(r"Please wait \d+ s\.")).wait_for()

    def seconds() -> int:
        return int(re.sub(r"\D", "", timer.inner_text()))

    first = seconds()
    assert 60 < first <= 90
    assert again.is_disabled()
    page.unroute("**/v1/chat")

    page.clock.run_for(30_000)  # besides, the clock runs on as usual
    until(lambda: seconds() <= first - 30, "the seconds are counted down")
    assert again.is_disabled()
    page.clock.run_for(60_000)
    page.get_by_role("alert").get_by_text("Now it can be tried again.").wait_for()
    again.click()

    page.locator(".caption").wait_for()


def test_a_kiosk_has_no_links_and_goes_back_to_rest(
    context: "BrowserContext", live: LiveServer
) -> None:
    """Once all was heard and nobody touched it for a minute, nothing of the session is shown."""
    page = context.new_page()
    page.add_init_script(CAPTIONS)
    page.clock.install()
    page.goto(f"{live.url}/?kiosk")
    write(page)
    hear_all(page)
    page.clock.fast_forward(30_000)  # besides, the clock runs on as usual
    assert page.locator(".question").is_visible()

    page.clock.fast_forward(31_000)

    page.get_by_text("Every voice that answers").wait_for()
    assert not page.locator(".question").is_visible()
    assert 0 == page.get_by_role("link").count()


def test_the_page_speaks_the_language_of_the_visitor(browser: "Browser", live: LiveServer) -> None:
    """German is chosen by the browser or by the address; what is not known is English."""
    for locale, path, language in (
        ("de-AT", "/", "de"),
        ("fr-FR", "/?lang=de", "de"),
        ("fr-FR", "/", "en"),
    ):
        with visiting(browser, locale=locale) as context:
            page = context.new_page()
            page.goto(live.url + path)
            page.get_by_role("textbox").wait_for()
            assert language == page.evaluate("document.documentElement.lang")
            german = "Oder hier schreiben"
            assert (language == "de") == page.get_by_placeholder(german).is_visible()
