"""Speech services on loopback: real HTTP, the documented requests, and everything that goes wrong.

Each answers its requests by the modes it was given, one after another; the last one stays.
"""

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

import numpy as np

from tests.backend.speech.sounds import STREAMED, pcm16, pcm24, riff, syllables

KEY = "sk-canary-0123456789"
HTML = b"<!doctype html><html><title>Sign in to the water</title></html>"
RATE = 24_000


class Stub:
    """A speech service; a subclass knows the wire format of one.

    `seen` holds the requests it took, `hung` is set when a slow one has been reached.
    """

    name: ClassVar[str]
    prefix: ClassVar[str] = ""
    bodies: ClassVar[dict[str, Callable[[], tuple[str, bytes]]]]
    """Content type and body of the modes that are not good speech."""

    def __init__(self, *modes: str) -> None:
        self.modes = list(modes or ["good"])
        self.seen: list[dict[str, Any]] = []
        self.connections: set[socket.socket] = set()
        self.most_at_once = 0
        self.hung = threading.Event()
        self.let_go = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{self.prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away, also in the middle of an answer; twice does nothing."""
        self.let_go.set()
        with self._lock:
            connections, self.connections = self.connections, set()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def refusal(self, status: int) -> bytes:
        """Return the JSON of a refusal, quoting the key as services do."""
        raise NotImplementedError

    def complaint(self, path: str, headers: Any, body: Any) -> str | None:
        """Return what is wrong with a request by the service's documentation."""
        raise NotImplementedError

    def audio(self) -> tuple[str, bytes]:
        """Return content type and body of good speech."""
        raise NotImplementedError

    def parse(self, headers: Any, body: bytes) -> Any:
        """Return what a request asks for."""
        return json.loads(body)

    def next_mode(self) -> str:
        """Return how the request just begun is answered."""
        with self._lock:
            return self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]

    def begin(self, request: dict[str, Any]) -> None:
        """Count a request in."""
        with self._lock:
            self.seen.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def end(self) -> None:
        """Count a request out."""
        with self._lock:
            self._at_once -= 1


class ElevenLabsStub(Stub):
    """POST /v1/text-to-speech/{voice_id}?output_format=pcm_22050."""

    name = "elevenlabs"

    def refusal(self, status: int) -> bytes:
        codes = {401: "invalid_api_key", 429: "too_many_concurrent_requests", 422: "unknown"}
        message = f"the key {KEY} said: {self.seen[-1]['body']}" if self.seen else ""
        return json.dumps(
            {"detail": {"status": codes.get(status, "internal"), "message": message}}
        ).encode()

    def complaint(self, path: str, headers: Any, body: Any) -> str | None:
        target = urlsplit(path)
        if not target.path.startswith("/v1/text-to-speech/"):
            return "path"
        if parse_qs(target.query).get("output_format") != ["pcm_22050"]:
            return "output_format"
        if headers["xi-api-key"] != KEY or headers["content-type"] != "application/json":
            return "headers"
        settings = body.get("voice_settings", {})
        if set(body) != {"text", "model_id", "voice_settings"} or not body["text"]:
            return "body"
        if not 0.7 <= settings["speed"] <= 1.2 or set(settings) - {"speed", "style"}:
            return "voice_settings"
        return None

    def audio(self) -> tuple[str, bytes]:
        return "audio/pcm", pcm16(syllables(22_050))


class OpenAIStub(Stub):
    """POST /v1/audio/speech."""

    name = "openai"
    prefix = "/v1"

    def refusal(self, status: int) -> bytes:
        codes = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
        message = f"Incorrect key {KEY} for {self.seen[-1]['body']}" if self.seen else ""
        return json.dumps(
            {"error": {"message": message, "type": "error", "code": codes.get(status)}}
        ).encode()

    def complaint(self, path: str, headers: Any, body: Any) -> str | None:
        if path != "/v1/audio/speech":
            return "path"
        if headers["authorization"] != f"Bearer {KEY}":
            return "authorization"
        allowed = {"model", "input", "voice", "response_format", "speed", "instructions"}
        if set(body) - allowed or not {"model", "input", "voice"} <= set(body):
            return "body"
        if body["response_format"] != "wav" or len(body["input"]) > 4_096:
            return "values"
        return None

    def audio(self) -> tuple[str, bytes]:
        # As the service sends it: a header from before the length was known.
        return "audio/wav", riff(pcm16(syllables(RATE)), RATE, data_size=STREAMED)


STUBS: dict[str, type[Stub]] = {"elevenlabs": ElevenLabsStub, "openai": OpenAIStub}


def _stereo() -> bytes:
    y = syllables(48_000)
    frames = np.stack([y, np.zeros_like(y)], axis=1).ravel()
    return riff(pcm24(frames), 48_000, channels=2, bits=24)


Stub.bodies = {
    "streamed header": lambda: (
        "audio/wav",
        riff(pcm16(syllables(RATE)), RATE, data_size=0x7FFFFFFF),
    ),
    "HTML with 200": lambda: ("text/html", HTML),
    "empty body": lambda: ("audio/wav", b""),
    "truncated WAV": lambda: ("audio/wav", riff(pcm16(syllables(RATE)), RATE)[:20_000]),
    "wrong rate, stereo, 24-bit": lambda: ("audio/wav", _stereo()),
    "41 MB": lambda: ("audio/wav", bytes(41_000_000)),
    "silence": lambda: ("audio/wav", riff(bytes(2 * RATE), RATE)),
}


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            stub.connections.add(self.connection)

        def finish(self) -> None:
            stub.connections.discard(self.connection)
            super().finish()

        def do_GET(self) -> None:
            """Answer the check."""
            stub.begin({"path": self.path, "body": None})
            mode = stub.next_mode()
            self._answer(
                401 if mode == "401" else 200, "application/json", [b'{"data": []}'], end=True
            )

        def do_POST(self) -> None:
            """Answer one request."""
            received = self.rfile.read(int(self.headers["content-length"]))
            body = stub.parse(self.headers, received)
            stub.begin({"path": self.path, "body": body})
            try:
                complaint = stub.complaint(self.path, self.headers, body)
                if complaint:
                    self._answer(
                        422,
                        "application/json",
                        [stub.refusal(422)],
                        more={"X-Complaint": complaint},
                    )
                else:
                    self._play(stub.next_mode())
            except OSError:
                self.close_connection = True
            finally:
                stub.end()

        def _play(self, mode: str) -> None:
            if mode.startswith("429"):  # with the seconds of Retry-After behind it, if any
                _, _, seconds = mode.partition(" ")
                more = {"Retry-After": seconds} if seconds else {}
                self._answer(429, "application/json", [stub.refusal(429)], more=more)
            elif mode.isdecimal():
                self._answer(int(mode), "application/json", [stub.refusal(int(mode))])
            elif mode == "compressed":
                packed = gzip.compress(stub.audio()[1])
                self._answer(200, "audio/wav", [packed], more={"Content-Encoding": "gzip"})
            elif mode == "slow":
                stub.hung.set()
                stub.let_go.wait(30)
                self.close_connection = True
            elif mode == "dripping":
                kind, audio = stub.audio()
                self._answer(200, kind, [audio[:500], b""], length=len(audio))
                for at in range(500, len(audio)):
                    if stub.let_go.wait(0.02):
                        break
                    self.wfile.write(audio[at : at + 1])
            elif mode == "reset half-way":
                kind, audio = stub.audio()
                self._answer(200, kind, [audio[: len(audio) // 2]], length=len(audio))
                linger = struct.pack("ii", 1, 0)  # close() sends RST and not FIN
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()
            elif mode == "closed half-way":
                kind, audio = stub.audio()
                self._answer(200, kind, [audio[: len(audio) // 2]], length=len(audio))
                self.close_connection = True
            else:
                kind, audio = stub.bodies.get(mode, stub.audio)()
                self._answer(200, kind, [audio])

        def _answer(
            self,
            status: int,
            kind: str,
            parts: Iterable[bytes],
            *,
            length: int | None = None,
            end: bool = False,
            more: Mapping[str, str] | None = None,
        ) -> None:
            body = b"".join(parts)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            if end:
                stub.end()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    return Handler
