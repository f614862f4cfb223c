"""A server on loopback that speaks the providers' wire formats, well or badly.

One server stands for all of them; a path tells which format is spoken. Each model name has a mode
of its own, so that one session can see one provider die while the others are well. What a provider
would refuse is refused here too: a request without its key, its version header or its messages.
"""

import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal, Self

Mode = Literal[
    "good",
    "slow",
    "401",
    "429 once",
    "429 always",
    "500 once",
    "500 always",
    "500 final",
    "invalid JSON",
    "invalid output then good",
    "always invalid",
    "reset half-way once",
    "reset half-way",
    "HTML with 200",
    "empty body",
    "redirect",
]
KEY = "sk-canary-0123456789"
RETRY_AFTER_S = 7
SLOW_LIMIT_S = 30.0

Json = dict[str, Any]
_GOOGLE_PATH = re.compile(r"/google/v1beta/models/([^:]+):generateContent")
_TARGETS = re.compile(r'by="speaker (\d)"')


@dataclass
class Call:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: Json
    model: str


@dataclass
class Stub:
    """The server, from entering to leaving; `modes` may be changed at any time."""

    modes: dict[str, Mode] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        _Handler.stubs[self._server.server_port] = self
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join(SLOW_LIMIT_S)
        self._server.server_close()
        del _Handler.stubs[self.port]

    def url(self, path: str = "") -> str:
        """Return the address of a provider."""
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def counts(self) -> Counter[str]:
        """How often each model was asked."""
        return Counter(call.model for call in self.calls)


@dataclass(frozen=True)
class Format:
    """How one provider words an answer and an error."""

    answer: Callable[[str, Json, Json], Json]
    error: Callable[[int, str], Json]
    refusal: Callable[[Call], str | None]


class _Handler(BaseHTTPRequestHandler):
    """One connection; HTTP/1.1, so the clients' connections are kept and used again."""

    protocol_version = "HTTP/1.1"
    stubs: ClassVar[dict[int, Stub]] = {}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def do_GET(self) -> None:
        """List the models, for whoever only wants to know that the key is well."""
        self._take({}, "list")

    def do_POST(self) -> None:
        """Answer as a model."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = _GOOGLE_PATH.fullmatch(self.path)
        self._take(body, found[1] if found else str(body.get("model")))

    def _take(self, body: Json, model: str) -> None:
        stub = self.stubs[self.server.server_address[1]]  # type: ignore[index]  # an INET address
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.path, headers, body, model)
        stub.calls.append(call)
        provider = self.path.split("/")[1]
        spoken = FORMATS.get(provider)
        refusal = "no such path" if spoken is None else spoken.refusal(call)
        if spoken is None or refusal:
            self._json(400, {"error": {"message": refusal}})
            return
        times = sum(other.model == model for other in stub.calls)
        self._behave(stub, spoken, call, stub.modes.get(model, "good"), times)

    def _behave(self, stub: Stub, spoken: Format, call: Call, mode: Mode, times: int) -> None:
        match mode:
            case "slow":
                stub.closing.wait(SLOW_LIMIT_S)
                self.close_connection = True
            case "401":
                self._json(401, spoken.error(401, f"Incorrect API key provided: {KEY}"))
            case "429 always":
                self._too_many(spoken)
            case "429 once" if times == 1:
                self._too_many(spoken)
            case "500 always":
                self._json(500, spoken.error(500, f"Internal error near {KEY}"))
            case "500 final":
                error = spoken.error(500, "Internal error")
                self._json(500, error, **{"x-should-retry": "false"})
            case "500 once" if times == 1:
                self._json(500, spoken.error(500, "Internal error"))
            case "invalid JSON":
                self._send(200, b'{"id": "x", "choices": [{', "application/json")
            case "invalid output then good" if times == 1:
                self._json(200, spoken.answer(call.model, call.body, {"text": 5}))
            case "always invalid":
                self._json(200, spoken.answer(call.model, call.body, {"text": "..."}))
            case "reset half-way":
                self._reset()
            case "reset half-way once" if times == 1:
                self._reset()
            case "HTML with 200":
                self._send(200, b"<html>Please log in to the hotel</html>", "text/html")
            case "empty body":
                self._send(200, b"", "application/json")
            case "redirect":
                self._send(307, b"", "text/plain", Location=stub.url("/elsewhere"))
            case _ if call.model == "list":
                self._json(200, {"object": "list", "data": [], "models": []})
            case _:
                self._json(200, spoken.answer(call.model, call.body, output(call)))

    def _too_many(self, spoken: Format) -> None:
        error = spoken.error(429, "Rate limit reached")
        if "details" in error["error"]:  # Google says it in the body
            self._json(429, error)
        else:
            self._json(429, error, **{"Retry-After": str(RETRY_AFTER_S)})

    def _json(self, status: int, body: Json, **headers: str) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", **headers)

    def _send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        """Begin an answer and break the connection off with a reset."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"id": "half')
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True


def output(call: Call) -> Json:
    """Return what a well-behaved model says: a comment if peers are shown, else a text."""
    voice = {"voice_profile": "calm_soothing"}
    prompt = json.dumps(list(_strings(call.body)))
    if "target_slot_id" in json.dumps(call.body):
        targets = sorted(set(_TARGETS.findall(prompt.replace('\\"', '"'))))
        return {"target_slot_id": int(targets[0]), "comment": f"Says {call.model}.", **voice}
    return {"text": f"{call.model} speaks.", **voice}


def _strings(value: object) -> Iterator[str]:
    """Yield every text in a request."""
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _strings(item)
        case list():
            for item in value:
                yield from _strings(item)


def _openai_answer(model: str, body: Json, said: Json) -> Json:
    """https://platform.openai.com/docs/api-reference/chat/object."""
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    if body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        function = {"name": name, "arguments": json.dumps(said)}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    else:
        message["content"] = json.dumps(said)
    reason = "tool_calls" if body.get("tools") else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_763_800_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }


def _openai_error(status: int, message: str) -> Json:
    """https://platform.openai.com/docs/guides/error-codes."""
    kind = {401: "invalid_request_error", 429: "requests", 500: "server_error"}[status]
    code = {401: "invalid_api_key", 429: "rate_limit_exceeded", 500: None}[status]
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _openai_refusal(call: Call) -> str | None:
    if call.headers.get("authorization") != f"Bearer {KEY}":
        return "no key"
    return _chat_refusal(call, "/openai/v1")


def _ollama_refusal(call: Call) -> str | None:
    return _chat_refusal(call, "/ollama/v1")


def _chat_refusal(call: Call, root: str) -> str | None:
    if call.path == f"{root}/models":
        return None
    if call.path != f"{root}/chat/completions":
        return f"no such path: {call.path}"
    return None if call.body.get("messages") else "no messages"


def _ollama_error(status: int, message: str) -> Json:
    """https://docs.ollama.com/api/openai-compatibility."""
    return {"error": {"message": message, "type": "api_error", "param": None, "code": None}}


def _anthropic_answer(model: str, body: Json, said: Json) -> Json:
    """https://docs.anthropic.com/en/api/messages."""
    content: Json = {"type": "text", "text": json.dumps(said)}
    if body.get("tools"):
        name = body["tools"][0]["name"]
        content = {"type": "tool_use", "id": "toolu_1", "name": name, "input": said}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [content],
        "stop_reason": "tool_use" if body.get("tools") else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 9},
    }


def _anthropic_error(status: int, message: str) -> Json:
    """https://docs.anthropic.com/en/api/errors."""
    kind = {401: "authentication_error", 429: "rate_limit_error", 500: "api_error"}[status]
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def _anthropic_refusal(call: Call) -> str | None:
    # The documented header is x-api-key; the current library sends a bearer token.
    keys = (call.headers.get("x-api-key"), call.headers.get("authorization"))
    if keys not in {(KEY, None), (None, f"Bearer {KEY}")}:
        return "no key"
    if "anthropic-version" not in call.headers:
        return "no version"
    if call.path.split("?")[0] == "/anthropic/v1/models":
        return None
    if call.path.split("?")[0] != "/anthropic/v1/messages":
        return f"no such path: {call.path}"
    well = call.body.get("messages") and call.body.get("max_tokens")
    return None if well else "messages and max_tokens are required"


def _google_answer(model: str, body: Json, said: Json) -> Json:
    """https://ai.google.dev/api/generate-content#generatecontentresponse."""
    part: Json = {"text": json.dumps(said)}
    if body.get("tools"):
        name = body["tools"][0]["functionDeclarations"][0]["name"]
        part = {"functionCall": {"name": name, "args": said}}
    content = {"parts": [part], "role": "model"}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 9,
            "totalTokenCount": 18,
        },
        "modelVersion": model,
        "responseId": "r1",
    }


def _google_error(status: int, message: str) -> Json:
    """https://cloud.google.com/apis/design/errors, with the RetryInfo of a rate limit."""
    word = {401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}[status]
    kind = "type.googleapis.com/google.rpc.RetryInfo"
    retry = [{"@type": kind, "retryDelay": f"{RETRY_AFTER_S}s"}]
    details = retry if status == 429 else []
    return {"error": {"code": status, "message": message, "status": word, "details": details}}


def _google_refusal(call: Call) -> str | None:
    if call.headers.get("x-goog-api-key") != KEY:
        return "no key"
    if call.path.split("?")[0] == "/google/v1beta/models":
        return None
    if not _GOOGLE_PATH.fullmatch(call.path):
        return f"no such path: {call.path}"
    return None if call.body.get("contents") else "no contents"


FORMATS = {
    "openai": Format(_openai_answer, _openai_error, _openai_refusal),
    "ollama": Format(_openai_answer, _ollama_error, _ollama_refusal),
    "anthropic": Format(_anthropic_answer, _anthropic_error, _anthropic_refusal),
    "google": Format(_google_answer, _google_error, _google_refusal),
}
