"""Wrong requests: a problem that names the field and never repeats what was sent."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.config import Settings
from backend.http.app import MAX_BODY_BYTES, create_app
from tests.live import Answer, LiveServer, chat_body, exchange, get, parse, post
from tests.patience import LIMIT_S

CANARY = "xqcanary"
JSON_HEADER = "Content-Type: application/json"
AGENT = "gpt-4o"
SAID = f"{CANARY} said"


def slots(**changes: Any) -> list[dict[str, Any]]:
    """Return one slot with `changes`; a field changed to None is left out."""
    slot = {"slotId": 1, "agentId": AGENT, **changes}
    return [{name: value for name, value in slot.items() if value is not None}]


WRONG: dict[str, tuple[Any, str]] = {
    "unknown agent": ({"message": SAID, "slots": slots(agentId=CANARY)}, "slots.0.agentId"),
    "second agent unknown": (
        {"message": SAID, "slots": slots() + slots(slotId=2, agentId=CANARY)},
        "slots.1.agentId",
    ),
    "agent with a path": (
        {"message": SAID, "slots": slots(agentId=f"../{CANARY}")},
        "slots.0.agentId",
    ),
    "agent empty": ({"message": SAID, "slots": slots(agentId="")}, "slots.0.agentId"),
    "agent long": ({"message": SAID, "slots": slots(agentId=CANARY * 100)}, "slots.0.agentId"),
    "agent a number": ({"message": SAID, "slots": slots(agentId=7)}, "slots.0.agentId"),
    "agent a list": ({"message": SAID, "slots": slots(agentId=[CANARY])}, "slots.0.agentId"),
    "agent missing": ({"message": SAID, "slots": slots(agentId=None)}, "slots.0.agentId"),
    "slot twice": ({"message": SAID, "slots": slots() + slots(agentId="gpt-5.2")}, "slots"),
    "slot 0": ({"message": SAID, "slots": slots(slotId=0)}, "slots.0.slotId"),
    "slot 7": ({"message": SAID, "slots": slots(slotId=7)}, "slots.0.slotId"),
    "slot -1": ({"message": SAID, "slots": slots(slotId=-1)}, "slots.0.slotId"),
    "slot huge": ({"message": SAID, "slots": slots(slotId=10**30)}, "slots.0.slotId"),
    "slot a string": ({"message": SAID, "slots": slots(slotId=CANARY)}, "slots.0.slotId"),
    "slot a digit": ({"message": SAID, "slots": slots(slotId="1")}, "slots.0.slotId"),
    "slot a float": ({"message": SAID, "slots": slots(slotId=1.5)}, "slots.0.slotId"),
    "slot true": ({"message": SAID, "slots": slots(slotId=True)}, "slots.0.slotId"),
    "slot an object": ({"message": SAID, "slots": slots(slotId={CANARY: 1})}, "slots.0.slotId"),
    "slot missing": ({"message": SAID, "slots": slots(slotId=None)}, "slots.0.slotId"),
    "a slot a string": ({"message": SAID, "slots": [CANARY]}, "slots.0"),
    "a slot null": ({"message": SAID, "slots": [None]}, "slots.0"),
    "no slots": ({"message": SAID, "slots": []}, "slots"),
    "seven slots": (
        {"message": SAID, "slots": [slots(slotId=i)[0] for i in (1, 2, 3, 4, 5, 6, 6)]},
        "slots",
    ),
    "slots null": ({"message": SAID, "slots": None}, "slots"),
    "slots a string": ({"message": SAID, "slots": CANARY}, "slots"),
    "slots an object": ({"message": SAID, "slots": {CANARY: slots()}}, "slots"),
    "message missing": ({"slots": slots()}, "message"),
    "message null": ({"message": None, "slots": slots()}, "message"),
    "message empty": ({"message": "", "slots": slots()}, "message"),
    "message blank": ({"message": " \t\r\n\u2003\u00a0", "slots": slots()}, "message"),
    "message 2001": ({"message": (CANARY * 251)[:2001], "slots": slots()}, "message"),
    "message a number": ({"message": 42, "slots": slots()}, "message"),
    "message a list": ({"message": [CANARY], "slots": slots()}, "message"),
    "message an object": ({"message": {CANARY: CANARY}, "slots": slots()}, "message"),
    "message half a character": ({"message": f"{CANARY}\ud800", "slots": slots()}, "message"),
    "names in snake case": ({"message": SAID, "slots": [{"slot": 1, "agent": CANARY}]}, "slots.0"),
    "a list": ([CANARY], "body"),
    "a string": (CANARY, "body"),
    "null": (None, "body"),
    "a number": (7, "body"),
}
BROKEN = {
    "empty": b"",
    "cut short": b'{"message": "xqcanary',
    "not JSON": b"message=xqcanary&slots=1",
    "two values": b'{"message": "xqcanary"} {}',
    "not UTF-8": b'{"message": "xqcanary \xff\xfe", "slots": []}',
    "a trailing comma": b'{"message": "xqcanary",}',
    "deep": b'{"xqcanary": ' + b"[" * 60_000,
}


def problem(answer: Answer) -> dict[str, Any]:
    """Return the problem in `answer`, which repeats nothing and is all there is."""
    assert "application/problem+json" == answer.headers["content-type"]
    assert CANARY.encode() not in answer.body
    assert not any(CANARY in value for value in answer.headers.values())
    content: dict[str, Any] = json.loads(answer.body)
    assert answer.status == content["status"]
    assert {"type", "title", "detail"} <= content.keys()
    assert all(content[name] for name in ("type", "title", "detail"))
    return content


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_is_named_and_not_repeated(server: LiveServer, case: str) -> None:
    """A body that is JSON and not a chat gets 422, naming the field."""
    body, field = WRONG[case]

    answer = post(server.port, "/v1/chat", json.dumps(body).encode(), JSON_HEADER)

    assert 422 == answer.status
    named = [error["field"] for error in problem(answer)["errors"]]
    assert any(name == field or name.startswith(f"{field}.") for name in named), named


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            {"message": SAID, "slots": slots(agentId=CANARY)},
            r"in slots\.0\.agentId: no such agent; the agents are claude.*gemini-3\.",
        ),
        (
            {"message": " ", "slots": slots()},
            r"in message: string should have at least 1 character\.",
        ),
        (
            {"message": SAID, "slots": [slots(slotId=n)[0] for n in (1, 2, 3, 4, 5, 6, 1)]},
            r"in slots: list should have at most 6 items after validation, not 7\.",
        ),
    ],
    ids=["unknown agent", "empty message", "seven slots"],
)
def test_the_detail_is_a_sentence_on_the_first_wrong_field(
    server: LiveServer, body: object, detail: str
) -> None:
    """Earlier clients show `detail` as it is, and read nothing else of a problem."""
    answer = post(server.port, "/v1/chat", json.dumps(body).encode(), JSON_HEADER)

    assert 422 == answer.status
    assert re.fullmatch(f"The request is wrong {detail}", problem(answer)["detail"])


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_json_is_told_so(server: LiveServer, case: str) -> None:
    """A body that cannot be read as JSON is a client's error about the body."""
    answer = post(server.port, "/v1/chat", BROKEN[case], JSON_HEADER)

    assert answer.status in {400, 422}
    assert ["body"] == [error["field"] for error in problem(answer)["errors"]]


@pytest.mark.parametrize(
    "header",
    ["X-No: type", "Content-Type: text/plain", "Content-Type: application/xml",
     "Content-Type: application/x-www-form-urlencoded", "Content-Type: xqcanary/xqcanary"],
)  # fmt: skip
def test_another_content_type_is_refused(server: LiveServer, header: str) -> None:
    """Only application/json is read; the answer says which header to send."""
    body = json.dumps(chat_body(1, message=SAID)).encode()

    answer = post(server.port, "/v1/chat", body, header)

    assert 415 == answer.status
    assert "Content-Type" in problem(answer)["detail"]


def test_all_wrong_fields_are_named_at_once(server: LiveServer) -> None:
    """One answer names everything there is to correct."""
    body = {"message": "", "slots": slots(slotId=9) + slots(agentId="")}

    answer = post(server.port, "/v1/chat", json.dumps(body).encode(), JSON_HEADER)

    named = {error["field"] for error in problem(answer)["errors"]}
    assert {"message", "slots.0.slotId", "slots.1.agentId"} == named


def test_no_session_comes_of_a_wrong_request(tmp_path: Path) -> None:
    """A refused request leaves no session and no file behind."""
    body = {"message": SAID, "slots": slots(agentId=CANARY)}

    with LiveServer(create_app(Settings(artifacts_dir=tmp_path), [])) as live:
        post(live.port, "/v1/chat", json.dumps(body).encode(), JSON_HEADER)

    assert not (tmp_path / "tts").exists()


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 100_000_000])
def test_an_announced_large_body_is_refused_unread(server: LiveServer, size: int) -> None:
    """A length above the limit is answered before the body has been sent."""
    head = (
        "POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\nConnection: close\r\n\r\n"
    ).encode()

    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as connection:
        connection.sendall(head + CANARY.encode())
        received = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert 413 == problem(parse(received))["status"]


def test_a_large_body_in_chunks_is_refused(server: LiveServer) -> None:
    """Without an announced length the bytes are counted as they come."""
    with server.client() as client:
        answer = client.post(
            "/v1/chat",
            content=(CANARY.encode() * 1024 for _ in range(MAX_BODY_BYTES // 1024)),
            headers={"content-type": "application/json"},
        )

    assert (413, "application/problem+json") == (
        answer.status_code,
        answer.headers["content-type"],
    )
    assert CANARY not in answer.text


def test_a_body_of_exactly_the_limit_is_read(server: LiveServer) -> None:
    """The limit itself is allowed: the answer is about the fields."""
    body = b"{}".ljust(MAX_BODY_BYTES)

    assert 422 == post(server.port, "/v1/chat", body, JSON_HEADER).status


@pytest.mark.parametrize("target", ["/xqcanary", "/v1/chat/xqcanary", "/v1", "/openapi.json"])
def test_an_unknown_path_is_a_problem(server: LiveServer, target: str) -> None:
    """404 is a problem too, and does not repeat the path."""
    answer = get(server.port, target)

    assert 404 == problem(answer)["status"]


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/v1/chat"), ("DELETE", "/v1/chat"), ("POST", "/v1/agents"), ("PUT", "/v1/health"),
     ("GET", "/v1/reset"), ("POST", "/v1/audio/tts/xqcanary.wav"), ("XQCANARY", "/v1/chat")],
)  # fmt: skip
def test_a_wrong_method_is_a_problem_that_names_the_right_ones(
    server: LiveServer, method: str, target: str
) -> None:
    """405 says in Allow what may be asked."""
    answer = get(server.port, target, method=method)

    if answer.status == 400:  # uvicorn's parser knows no such method and answers itself
        assert CANARY.upper().encode() not in answer.body
        return
    assert 405 == problem(answer)["status"]
    assert answer.headers["allow"]


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[LiveServer]:
    """Return a server with a route that fails."""
    app = create_app(Settings(artifacts_dir=tmp_path), [])

    @app.get("/v1/fails")
    async def fails() -> None:
        raise RuntimeError(CANARY)

    with LiveServer(app) as live:
        yield live


def test_an_unexpected_error_tells_no_details(failing: LiveServer) -> None:
    """500 is a problem without the exception's words; the next request is answered."""
    answer = get(failing.port, "/v1/fails")
    after = get(failing.port, "/v1/health")

    assert 500 == problem(answer)["status"]
    assert b"Traceback" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert 200 == after.status


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/v1/agents", (), 200),
        ("/none", (), 404),
        ("/v1/chat", (), 405),
        ("/v1/agents", ("Host: evil.example",), 421),
        ("/v1/fails", (), 500),
    ],
)
def test_no_browser_keeps_or_frames_an_answer(
    failing: LiveServer, target: str, headers: tuple[str, ...], status: int
) -> None:
    """Nor takes it for a page: whatever answers, a route or a refusal."""
    host = headers or ("Host: 127.0.0.1",)
    lines = [f"GET {target} HTTP/1.1", *host, "Connection: close", "", ""]

    answer = exchange(failing.port, "\r\n".join(lines).encode())

    assert status == answer.status
    assert "no-store" == answer.headers["cache-control"]
    assert "nosniff" == answer.headers["x-content-type-options"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "no-referrer" == answer.headers["referrer-policy"]


def test_a_refused_request_leaves_no_words_in_the_log(server: LiveServer) -> None:
    """What a stranger sends does not reach the log."""
    with capture_logs() as logs:
        for body, _ in WRONG.values():
            post(server.port, "/v1/chat", json.dumps(body).encode(), JSON_HEADER)

    assert CANARY not in str(logs)
