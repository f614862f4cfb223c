"""The route of recordings: what it answers, what it refuses, and that it keeps nothing."""

import asyncio
import json
import logging
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.config import Settings
from backend.errors import HearingBusyError, HearingError, NotAudioError, NotHeardError
from backend.hearing import Heard, Transcript
from backend.http import hearing, rate_limit
from backend.http.app import create_app
from backend.http.connections import Connections
from backend.http.hearing import RecentTranscripts
from backend.http.problems import ProblemError
from backend.http.rate_limit import RateLimit
from backend.signals import SessionStarted, session_started
from tests.backend.hearing_stub import StandIn
from tests.live import Answer, LiveServer, chat_body, exchange, parse, post
from tests.patience import LIMIT_S, until

BOUNDARY = "xqboundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
RECORDING = b"\x1aE\xdf\xa3 a recording \r\n--xqbound"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Return who hears in place of an engine; no client is asked to wait."""
    monkeypatch.setattr(hearing, "PER_MINUTE", 1_000)
    return StandIn()


@pytest.fixture
def live(tmp_path: Path, heard: StandIn) -> Iterator[LiveServer]:
    """Return a server on which `heard` hears."""
    app = create_app(Settings(artifacts_dir=tmp_path, seed=1), [])
    app.state.hosting.hearing = heard
    with LiveServer(app) as server:
        yield server
        heard.gate.set()


def part(name: str, content: bytes, *, filename: str = "", more: str = "") -> bytes:
    """Return one part of a form, without the line that ends it."""
    of_file = f'; filename="{filename}"' if filename else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{of_file}{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


FILE = part("file", RECORDING, filename="recording.webm")
END = f"--{BOUNDARY}--\r\n".encode()


def speak(server: LiveServer, body: bytes = FILE + END, content_type: str = FORM) -> Answer:
    return post(server.port, hearing.PATH, body, f"Content-Type: {content_type}")


def test_a_recording_is_answered_with_its_transcript(live: LiveServer, heard: StandIn) -> None:
    """The answer has the fields of the contract; the form is read byte by byte as it was sent."""
    body = FILE + part("language_code", b"en-GB") + part("session_label", b"kiosk 2") + END

    answer = speak(live, body)

    assert [(RECORDING, "en-GB", "kiosk 2")] == heard.given
    assert 200 == answer.status
    assert {
        "sttSessionId": "h-1",
        "transcript": "Good evening.",
        "durationMs": 1234,
        "mimeType": "audio/webm",
        "languageCode": "en",
        "words": [
            {"text": "Good", "start": 0.1, "end": 0.3, "type": "word"},
            {"text": "evening.", "start": 0.35, "end": 0.8, "type": "word"},
        ],
        "engine": "embedded",
    } == json.loads(answer.body)


def test_paths_are_there_where_recordings_are_kept(live: LiveServer, heard: StandIn) -> None:
    """Without times of words, and with two paths, the answer has those fields instead."""
    said = Transcript("Rain", "en", "openai")
    heard.result = Heard("h-2", said, 500, "audio/ogg", "stt/a.ogg", "stt/a.json")

    answer = json.loads(speak(live).body)

    assert "words" not in answer
    assert ("stt/a.ogg", "stt/a.json") == (answer["audioPath"], answer["transcriptPath"])


REFUSED: dict[str, tuple[int, str, bytes, str | None]] = {
    "json": (415, "application/json", b"{}", None),
    "no type": (415, "", FILE + END, None),
    "urlencoded": (415, "application/x-www-form-urlencoded", b"file=x", None),
    "no boundary": (400, "multipart/form-data", FILE + END, "body"),
    "wrong boundary": (400, "multipart/form-data; boundary=other", FILE + END, "body"),
    "boundary of 10 kB": (400, f"multipart/form-data; boundary={'x' * 10_000}", FILE, "body"),
    "no body": (400, FORM, b"", "body"),
    "text": (400, FORM, b"What does the water remember?", "body"),
    "without end": (400, FORM, FILE, "body"),
    "cut in the file": (400, FORM, FILE[:-20], "body"),
    "cut in the end": (400, FORM, FILE + END[:-5], "body"),
    "nothing in it": (400, FORM, END, "file"),
    "two files": (400, FORM, FILE + FILE + END, "body"),
    "a file of another name": (400, FORM, part("audio", b"x", filename="a.webm") + END, "file"),
    "a file without filename": (400, FORM, part("file", b"x") + END, "file"),
    "a part without name": (400, FORM, FILE.replace(b' name="file";', b"") + END, "body"),
    "many fields": (400, FORM, FILE + part("a", b"") * 9 + END, "body"),
    "a long field": (400, FORM, FILE + part("session_label", b"x" * 2_001) + END, "body"),
    "a long label": (422, FORM, FILE + part("session_label", b"x" * 201) + END, "session_label"),
    "a long header": (400, FORM, part("file", b"", more="; x=" + "y" * 10_000) + END, "body"),
    "an empty file": (422, FORM, part("file", b"", filename="a.webm") + END, None),
    "no language": (422, FORM, FILE + part("language_code", b"en\r\nx") + END, "language_code"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_recording_is_refused(live: LiveServer, heard: StandIn, name: str) -> None:
    """Each has its status, a sentence for the visitor, and the field for the developer."""
    status, content_type, body, field = REFUSED[name]

    answer = speak(live, body, content_type)

    problem = json.loads(answer.body)
    assert (status, "application/problem+json") == (answer.status, answer.headers["content-type"])
    assert [field] == [error["field"] for error in problem.get("errors", [{"field": None}])]
    assert problem["detail"].endswith((".", ")."))
    assert b"xqb" not in answer.body
    assert [] == heard.given
    assert 200 == speak(live).status


@pytest.mark.parametrize(
    ("error", "status", "detail", "retry_after"),
    [
        (NotAudioError("No sound."), 415, "No sound.", None),
        (NotHeardError("Too short."), 422, "Too short.", None),
        (HearingBusyError("5 wait", retry_after_s=3), 503, hearing.BUSY, "3"),
        (HearingError("elevenlabs: 401"), 502, hearing.FAILED, None),
    ],
)
def test_what_hearing_cannot_do_has_its_status(
    *, live: LiveServer, heard: StandIn, error: Exception, status: int, detail: str,
    retry_after: str | None,
) -> None:  # fmt: skip
    """What concerns the recording is told as it is, and what concerns a service only in the log."""
    heard.result = error

    with capture_logs() as logs:
        answer = speak(live)

    assert (status, detail) == (answer.status, json.loads(answer.body)["detail"])
    assert retry_after == answer.headers.get("retry-after")
    errors = [line["reason"] for line in logs if line["log_level"] == "error"]
    assert (["elevenlabs: 401"] if status == 502 else []) == errors
    assert [(status, detail)] == [
        (line["status"], line["detail"]) for line in logs if line["event"] == "recording refused"
    ]


async def test_who_is_transcribed_at_a_stop_is_told(heard: StandIn) -> None:
    """The server cancels what goes on for too long: the visitor gets a sentence, the log a line."""
    heard.gate.clear()
    form = hearing.RecordingForm(file=RECORDING)
    task = asyncio.create_task(hearing._transcribe(heard, form))  # type: ignore[arg-type]  # it stands in
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(ProblemError, match=hearing.STOPPING) as caught:
        await task
    heard.gate.set()

    assert 503 == caught.value.status_code


def test_where_hearing_is_turned_off_it_says_so(live: LiveServer, heard: StandIn) -> None:
    """Nobody is asked to try again; other routes are there."""
    heard.condition = "disabled"

    answer = speak(live)

    assert (503, hearing.TURNED_OFF) == (answer.status, json.loads(answer.body)["detail"])
    assert "retry-after" not in answer.headers


@pytest.mark.e2e
def test_an_upload_may_take_longer_than_other_requests(
    tmp_path: Path, heard: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of its path counts for the connection too: it is told, and not cut off."""
    monkeypatch.setattr(hearing, "BODY_LIMIT_S", 2.0)
    app = create_app(Settings(artifacts_dir=tmp_path), [])
    app.state.hosting.hearing = heard
    connections = Connections(0.5, {hearing.PATH: hearing.BODY_LIMIT_S}, leaving_s=0.5)

    with LiveServer(app, connections) as live, upload(live, FILE[:40]) as slow:
        answer = parse(b"".join(iter(lambda: slow.recv(65_536), b"")))

    assert (408, hearing.TOO_SLOW) == (answer.status, json.loads(answer.body)["detail"])


@pytest.mark.e2e
@pytest.mark.parametrize("chunked", [False, True])
def test_a_recording_over_25_mb_is_too_large(live: LiveServer, chunked: bool) -> None:
    """Told before it is sent or while it is: the client reads the answer in either case."""
    file = part("file", bytes(hearing.MAX_BODY_BYTES), filename="a.wav") + END
    start = f"POST {hearing.PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM}\r\n"
    if chunked:
        head = f"{start}Transfer-Encoding: chunked\r\n\r\n{len(file):x}\r\n"
        request = head.encode() + file + b"\r\n0\r\n\r\n"
    else:
        request = f"{start}Content-Length: {len(file)}\r\n\r\n".encode() + file

    answer = exchange(live.port, request)

    assert 413 == answer.status
    assert "That is too large: at most 25 MB can be sent." == json.loads(answer.body)["detail"]


@pytest.mark.e2e
def test_a_recording_of_24_mb_stays_in_memory(
    live: LiveServer, heard: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under the limit is read whole, and no file is made on the way."""
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    content = bytes(range(256)) * 4096 * 24

    answer = speak(live, part("file", content, filename="a.wav") + END)

    assert 200 == answer.status
    assert content == heard.given[0][0]
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def upload(server: LiveServer, sent: bytes) -> socket.socket:
    """Begin an upload and send a part of it."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)
    head = (
        f"POST {hearing.PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM}\r\n"
        f"Content-Length: {len(FILE + END)}\r\n\r\n"
    )
    connection.sendall(head.encode() + sent)
    return connection


def test_a_slow_upload_has_a_limit_of_its_own(
    tmp_path: Path, heard: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take longer than other requests, and then is told that it was too slow."""
    monkeypatch.setattr(hearing, "BODY_LIMIT_S", 0.5)
    app = create_app(Settings(artifacts_dir=tmp_path, request_limit_s=0.1), [])
    app.state.hosting.hearing = heard

    with LiveServer(app) as live:
        with upload(live, FILE[:40]) as slow:
            answer = parse(b"".join(iter(lambda: slow.recv(65_536), b"")))
        again = speak(live)

    assert (408, hearing.TOO_SLOW) == (answer.status, json.loads(answer.body)["detail"])
    assert 200 == again.status
    assert 1 == len(heard.given)


def test_a_client_that_goes_away_harms_nobody(
    live: LiveServer, heard: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of the upload or while it is transcribed: nothing is logged."""
    with capture_logs() as logs:
        upload(live, FILE[:40]).close()
        heard.gate.clear()
        waiting = upload(live, FILE + END)
        until(lambda: bool(heard.given), "the recording is transcribed")
        waiting.close()
        heard.gate.set()
        until(lambda: live.connections == 0, "both are gone")
        answer = speak(live)

    assert 200 == answer.status
    assert 2 == len(heard.given)
    assert [] == [line for line in logs if line["log_level"] != "info"]
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_no_more_recordings_are_held_than_fit(live: LiveServer, heard: StandIn) -> None:
    """Beside those that wait, one more is told when to come again; then it is answered."""
    heard.gate.clear()
    waiting = [upload(live, FILE + END) for _ in range(hearing.HELD_AT_ONCE)]
    until(lambda: len(heard.given) == hearing.HELD_AT_ONCE, "all of them are held")

    refused = speak(live)
    heard.gate.set()
    answers = [connection.recv(65_536)[:15] for connection in waiting]

    assert (503, hearing.BUSY) == (refused.status, json.loads(refused.body)["detail"])
    assert str(hearing.BUSY_S) == refused.headers["retry-after"]
    assert [b"HTTP/1.1 200 OK"] * hearing.HELD_AT_ONCE == answers
    assert 200 == speak(live).status
    for connection in waiting:
        connection.close()


def test_who_sends_too_often_waits(
    tmp_path: Path, heard: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may send its recordings of a minute at once; the next is told when to come."""
    monkeypatch.setattr(hearing, "PER_MINUTE", 3)
    app = create_app(Settings(artifacts_dir=tmp_path), [])
    app.state.hosting.hearing = heard

    with LiveServer(app) as live:
        answers = [speak(live) for _ in range(4)]

    assert [200, 200, 200, 429] == [answer.status for answer in answers]
    assert hearing.TOO_MANY == json.loads(answers[-1].body)["detail"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20


class Clock:
    """A clock that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: Any) -> None:
        self.now = 1000.0
        for module in modules:
            monkeypatch.setattr(module, "monotonic", lambda: self.now)


def test_each_client_has_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 a minute all may come at once; then one every three seconds; others notice nothing."""
    clock = Clock(monkeypatch, rate_limit)
    rate = RateLimit(20)

    assert [0.0] * 20 == [rate.wait_s("a") for _ in range(20)]
    assert 3.0 == pytest.approx(rate.wait_s("a"))
    assert 0.0 == rate.wait_s("b")
    clock.now += 3
    assert 0.0 == rate.wait_s("a")
    assert rate.wait_s("a") > 0
    clock.now += 60
    assert [0.0] * 20 == [rate.wait_s("a") for _ in range(20)]


def test_a_visitor_at_a_kiosk_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """One recording every three seconds for an hour is admitted."""
    clock = Clock(monkeypatch, rate_limit)
    rate = RateLimit(hearing.PER_MINUTE)

    waits = []
    for _ in range(1200):
        waits.append(rate.wait_s("kiosk"))
        clock.now += 3
    assert {0.0} == set(waits)


def test_the_clients_that_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses there are, the memory for them is not more than that of so many."""
    rate = RateLimit(20)

    for number in range(3 * rate_limit.MAX_CLIENTS):
        rate.wait_s(str(number))

    assert rate_limit.MAX_CLIENTS == len(rate._due_at)


def test_a_message_is_traced_to_its_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """For two minutes the last recording of the same words is found, and nothing else is kept."""
    clock = Clock(monkeypatch, hearing)
    recent = RecentTranscripts()
    recent.add("h-1", "Rain ")
    recent.add("h-2", "Rain")

    found = [recent.find(message) for message in (" Rain", "rain", "")]
    kept = repr(vars(recent))
    clock.now += hearing.RECENT_S
    late = recent.find("Rain")
    recent.add("h-3", "Snow")

    assert (["h-2", None, None], None) == (found, late)
    assert "Rain" not in kept
    assert 1 == len(recent._heard)


@pytest.mark.parametrize(
    ("message", "more", "expected"),
    [
        ("Good evening.", {}, "h-1"),
        ("Good evening, water", {"sttSessionId": "h-1"}, "h-1"),
        ("Good evening, water", {}, None),
    ],
    ids=["of an earlier client", "named", "typed"],
)
def test_a_session_has_the_id_of_what_was_heard(
    *, live: LiveServer, tmp_path: Path, message: str, more: dict[str, str], expected: str | None
) -> None:
    """By the client's word, or by the same words; also in the manifest."""
    started: list[SessionStarted] = []

    def receive(_: object, *, event: SessionStarted) -> None:
        started.append(event)

    speak(live)
    with session_started.connected_to(receive), live.client() as client:
        answer = client.post("/v1/chat", json=chat_body(1, message=message) | more)

    assert 200 == answer.status_code
    assert [(expected, None)] == [(event.heard_id, event.text) for event in started]
    (manifest,) = (tmp_path / "tts/sessions").glob("*/session.json")
    assert expected == json.loads(manifest.read_bytes())["heard_id"]


@pytest.mark.parametrize("heard_id", ["", "../x", "a b", "x" * 101, "x\n"])
def test_an_id_that_cannot_be_one_is_refused(live: LiveServer, heard_id: str) -> None:
    """What a client names becomes part of files and signals."""
    with live.client() as client:
        answer = client.post("/v1/chat", json=chat_body(1) | {"sttSessionId": heard_id})

    assert 422 == answer.status_code
    assert "sttSessionId" == answer.json()["errors"][0]["field"]
    words = "send it as /v1/stt answered it, or leave it out"
    assert f"The request is wrong in sttSessionId: {words}." == answer.json()["detail"]
