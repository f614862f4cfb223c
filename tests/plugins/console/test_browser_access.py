"""Who may use the pages, tried in a real browser: tokens, strangers' pages, frames."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from tests.live import LiveServer, get
from tests.patience import LIMIT_S
from tests.plugins.console.rooms import CAPTIONS, hear_all, room, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.e2e

TOKEN = "a-long-token"
TRIES = 40
ATTACK = """async (target) => {
  const tried = {};
  const attempt = async (name, work) => {
    try { tried[name] = String(await work()); } catch (error) { tried[name] = "refused"; }
  };
  const open = (source, opened) => new Promise((resolve, reject) => {
    source.addEventListener(opened, () => resolve("opened"));
    source.addEventListener("error", () => reject(new Error("no")));
  });
  const credentials = "include";
  await attempt("list", async () => (await fetch(target + "/v1/sessions", { credentials })).status);
  await attempt("json", async () => (await fetch(target + "/v1/chat", {
    method: "POST", credentials, headers: { "content-type": "application/json" },
    body: JSON.stringify({ message: "Hello", sessionStart: true }),
  })).status);
  const simple = (path, body) =>
    fetch(target + path, { method: "POST", mode: "no-cors", credentials, body });
  await attempt("text", async () => {
    await simple("/v1/chat", JSON.stringify({ message: "Hello", sessionStart: true }));
    return "sent";
  });
  await attempt("reset", async () => { await simple("/v1/reset", ""); return "sent"; });
  const socket = target.replace("http", "ws") + "/v1/events";
  await attempt("socket", () => open(new WebSocket(socket), "open"));
  await attempt("stream", () => open(new EventSource(target + "/v1/sessions/x/events"), "open"));
  const form = document.createElement("form");
  const frame = document.createElement("iframe");
  frame.name = "hidden";
  Object.assign(form, { method: "post", action: target + "/v1/reset", target: "hidden" });
  document.body.append(frame, form);
  form.submit();
  return tried;
}"""


def guarded(root: Path, **env: str) -> AbstractContextManager[LiveServer]:
    """Run a server that asks for a token."""
    return room(root, env=env, api_token=SecretStr(TOKEN))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server that asks for a token."""
    with guarded(tmp_path_factory.mktemp("artifacts")) as server:
        yield server


def log_in(page: "Page", token: str = TOKEN) -> None:
    """Enter a token on either page."""
    page.locator("input[type=password]").fill(token)
    page.locator("form button").click()


def test_the_token_is_asked_for_once_and_opens_all(
    context: "BrowserContext", live: LiveServer
) -> None:
    """Its cookie goes with requests, events, sound and the socket, and no script can read it."""
    answers: dict[str, int] = {}
    context.on("response", lambda one: answers.update({one.url.partition("?")[0]: one.status}))
    page = context.new_page()
    page.add_init_script(CAPTIONS)
    page.clock.install()
    page.goto(live.url)
    log_in(page)
    write(page)
    count = len(hear_all(page))
    artist = context.new_page()
    artist.goto(f"{live.url}/console#/now")
    artist.get_by_text("connected", exact=True).wait_for()
    artist.get_by_text(f"{count} utterances").first.wait_for()

    (cookie,) = context.cookies()
    assert ("rr_session", True, "Strict") == (
        cookie["name"],
        cookie["httpOnly"],
        cookie["sameSite"],
    )
    assert TOKEN not in page.evaluate("document.cookie + JSON.stringify({...localStorage})")
    paths = {url.removeprefix(live.url): status for url, status in answers.items()}
    streams = {status for path, status in paths.items() if path.startswith("/v1/sessions")}
    assert streams in ({200}, {204}, {200, 204})  # 204: there is nothing more to come
    sounds = [s for path, s in paths.items() if path.startswith("/v1/audio/tts/")]
    assert len(sounds) >= count
    assert {200, 206} >= set(sounds)

    context.clear_cookies()
    artist.reload()
    artist.locator("input[type=password]").wait_for()


@pytest.mark.parametrize(
    ("path", "says"), [("/", "ask the people of this exhibition"), ("/console", "RR_API_TOKEN")]
)
def test_a_wrong_token_is_said_and_tries_are_slowed_down(
    browser: "Browser", tmp_path: Path, path: str, says: str
) -> None:
    """Who guesses is told to wait, and the right token does not help until then."""
    with guarded(tmp_path) as server, browser.new_context() as context:
        page = context.new_page()
        page.goto(server.url + path)
        statuses: list[int] = []
        for number in range(TRIES):
            with page.expect_response("**/v1/login", timeout=LIMIT_S * 1000) as answered:
                log_in(page, f"a-wrong-token-{number}")
            statuses.append(answered.value.status)
            page.locator("form [role=alert]").filter(has_text="o" if number else says).wait_for()
            if 429 == statuses[-1]:
                break
        assert 401 == statuses[0]
        assert 429 == statuses[-1]
        assert int(answered.value.headers["retry-after"]) > 0
        assert [] == context.cookies()


def test_the_visitors_page_can_be_open_while_the_artists_is_not(
    context: "BrowserContext", tmp_path: Path
) -> None:
    """Without the token a visitor is answered, and can read no lists, settings or logs."""
    with guarded(tmp_path, RR_CONSOLE_VISITOR_OPEN="true") as server:
        page = context.new_page()
        page.add_init_script(CAPTIONS)
        page.clock.install()
        page.goto(server.url)
        write(page)
        assert hear_all(page)

        closed = ("sessions", "settings", "logs", "figures", "voices", "metrics", "slots/1/memory")
        for name in closed:
            status = page.evaluate("async p => (await fetch(p)).status", f"/v1/{name}")
            assert 401 == status, name
        opened = page.evaluate(
            """() => new Promise(resolve => Object.assign(new WebSocket("/v1/events"), {
            onopen: () => resolve("opened"), onerror: () => resolve("refused") }))"""
        )
        assert "refused" == opened
        page.goto(f"{server.url}/console")
        page.locator("input[type=password]").wait_for()


class _Elsewhere(BaseHTTPRequestHandler):
    """A page of somebody else; with `frame` it holds ours in a frame."""

    def __init__(self, frame: str, *arguments: object) -> None:
        self._frame = frame
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        body = f'<!doctype html><h1>Elsewhere</h1><iframe src="{self._frame}"></iframe>'.encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def elsewhere(frame: str) -> Iterator[str]:
    """Serve a stranger's page; return its address, which is another site than ours."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Elsewhere, frame)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(LIMIT_S)


@pytest.mark.parametrize("token", [None, SecretStr(TOKEN)])
def test_a_strangers_page_can_do_nothing(
    browser: "Browser", tmp_path: Path, token: SecretStr | None
) -> None:
    """It starts no session, reads and resets nothing, also where the visitor is logged in."""
    with (
        room(tmp_path, api_token=token) as server,
        elsewhere(server.url) as stranger,
        browser.new_context() as context,
    ):
        context.set_default_timeout(LIMIT_S * 1000)
        page = context.new_page()
        page.goto(server.url)
        if token:
            log_in(page)
        page.get_by_role("textbox", name="write").or_(page.locator("textarea")).first.wait_for()
        page.goto(stranger)
        answers: dict[str, int] = {}
        context.on("response", lambda one: answers.update({one.url: one.status}))
        with page.expect_response("**/v1/reset") as posted:
            tried = page.evaluate(ATTACK, server.url)

        assert {"list", "json", "socket", "stream"} == {
            k for k, v in tried.items() if v == "refused"
        }
        assert 403 == answers[f"{server.url}/v1/chat"]
        assert 403 == posted.value.status == answers[f"{server.url}/v1/reset"]
    assert [] == list(tmp_path.glob("tts/sessions/*"))


@pytest.mark.parametrize("path", ["/", "/console"])
def test_no_page_can_be_framed(browser: "Browser", live: LiveServer, path: str) -> None:
    """A stranger's page cannot lay itself over ours: the frame stays empty."""
    with elsewhere(live.url + path) as stranger, browser.new_context() as context:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(stranger)

        frame = page.locator("iframe").element_handle().content_frame()
        assert frame is not None
        assert 0 == frame.locator("#app").count()
        assert 1 == len([text for text in said if "frame-ancestors" in text])
    assert b'id="app"' in get(live.port, path).body
