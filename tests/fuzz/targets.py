"""What is fuzzed: each target takes any bytes and raises only if there is a defect."""

import asyncio
import io
import logging
import math
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

import numpy as np
import uvicorn
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from backend.agents.agents_file import load_profiles
from backend.config import Settings
from backend.errors import SettingsError, SpeechError
from backend.http import hearing
from backend.http.app import ChatRequest, create_app
from backend.http.connections import Connections, Exchanges
from backend.speech.sound import decode
from backend.speech.voices import load_voices
from backend.storage import Artifacts, WavError, riff
from backend.tracking.recording import RecordingError, parse_recording
from plugins.console.archive import Archive
from plugins.show.connection import _hello
from plugins.show.messages import Hello
from plugins.show.ring import Ring
from plugins.stream.routes import _seen

FOLDER: Final = Path(tempfile.mkdtemp(prefix="fuzz-"))
SESSION: Final = "20261129T100000Z-0000ab12"
BOUNDARY: Final = "tide"
UPGRADE: Final = (
    b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class _Errors(logging.Handler):
    """Keeps the errors in the log of the server, which lets none of them out."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, unless it is uvicorn's of what `Exchanges` logs: a close with code 1007."""
        if "Invalid UTF-8" in record.msg:
            return
        errors.append(record.getMessage() + str(record.exc_info))


errors: list[str] = []
_loop = asyncio.new_event_loop()


def wav(data: bytes) -> None:
    """A WAV is refused, or gives as many samples as its header says, and speech is finite."""
    try:
        header = riff.read_header(io.BytesIO(data), len(data))
    except WavError:
        pass
    else:
        n_bytes = header.frames * header.channels * header.bits // 8
        contents = data[header.data_offset :][:n_bytes]
        assert len(contents) == n_bytes
        if n_bytes:
            assert (header.frames, header.channels) == riff.samples(contents, header).shape
    for raw_rate in (None, 22_050):
        try:
            y, _ = decode(data, raw_rate=raw_rate)
        except SpeechError:
            continue
        assert np.isfinite(y).all()


def bodies(data: bytes) -> None:
    """A body, of JSON or a form, is answered with a status below 500."""
    kind, body = data[:1], data[1:]
    if kind < b"\x40":
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        try:
            _loop.run_until_complete(hearing._read(_request(body, headers)))
        except HTTPException as error:
            if error.status_code >= 500:
                raise AssertionError(error.detail) from error
    elif kind < b"\x80":
        with suppress(ValidationError):
            ChatRequest.model_validate_json(body)
    else:
        path, method = ("/v1/login", "POST") if kind < b"\xc0" else ("/v1/slots", "PUT")
        assert _loop.run_until_complete(_status(method, path, body)) < 500


def connection(data: bytes) -> None:
    """Any bytes on a connection, as HTTP or after the handshake of a WebSocket."""
    errors.clear()
    handler, logger = _Errors(logging.ERROR), logging.getLogger("uvicorn.error")
    logger.addHandler(handler)
    try:
        _loop.run_until_complete(_connect(data[1:], upgraded=data[:1] >= b"\x80"))
    finally:
        logger.removeHandler(handler)
    assert not errors, errors


def messages(data: bytes) -> None:
    """What a client of the show says is a hello, is refused, or is nothing."""
    text = data.decode("utf-8", "replace")
    said = _hello(text)
    assert said is None or isinstance(said, str | Hello)
    if isinstance(said, Hello) and said.cursor is not None:
        ring = Ring(4, 10)
        for number in range(6):
            ring.append(str(number))
        replay = ring.since(said.cursor)
        assert len(replay.texts) <= 4
    assert 0 <= _seen(text, 5) <= 5


def toml(data: bytes) -> None:
    """A file that people write is read, or is a wrong setting."""
    path = FOLDER / "any.toml"
    path.write_bytes(data)
    for load in (load_profiles, load_voices):
        with suppress(SettingsError):
            cast("Callable[[Path], object]", load)(path)


def records(data: bytes) -> None:
    """What stands on the disk is read, or left out; the times of signals are finite."""
    artifacts = Artifacts(FOLDER)
    try:
        recording = parse_recording(data, SESSION, FOLDER)
    except RecordingError:
        pass
    else:
        assert all(math.isfinite(one.at_s) for one in recording.signals)
    path = artifacts.session("tts", SESSION) / "session.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    archive = Archive(artifacts)
    cursor = data[:40].decode("utf-8", "replace")
    for page in (archive.page(10, "", "", ["tide"]), archive.page(10, cursor, cursor, [])):
        page.model_dump_json()
    kept = archive.session(SESSION)
    if kept is not None:
        kept.model_dump_json()


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = MappingProxyType(
    {
        "wav": wav,
        "bodies": bodies,
        "connection": connection,
        "messages": messages,
        "toml": toml,
        "records": records,
    }
)


def _scope(method: str, path: str, headers: Mapping[str, str]) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
        "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "headers": [
            (b"host", b"127.0.0.1"),
            *((k.encode(), v.encode()) for k, v in headers.items()),
        ],
    }


def _received(body: bytes) -> Receive:
    parts = [body[:200], body[200:]]

    async def receive() -> Message:
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    return receive


def _request(body: bytes, headers: Mapping[str, str]) -> Request:
    return Request(_scope("POST", hearing.PATH, headers), _received(body))


async def _status(method: str, path: str, body: bytes) -> int:
    """Return the status of our application, which does not run: these routes need no session."""
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = _scope(method, path, {"content-type": "application/json"})
    await _app(scope, _received(body), send)
    return statuses[0]


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Read all and answer; talk to a WebSocket until it ends."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            _hello(message.get("text"))
        return
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.request":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


class _Socket:
    """What a connection asks of its socket."""

    family = socket.AF_INET

    def setsockopt(self, *_: object) -> None: ...
    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 8000

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 1


class _Transport(asyncio.Transport):
    """Takes what is written and is closed when asked."""

    def __init__(self) -> None:
        here = ("127.0.0.1", 8000)
        super().__init__({"socket": _Socket(), "peername": ("127.0.0.1", 1), "sockname": here})
        self.closed = False

    def write(self, data: Any) -> None: ...
    def writelines(self, list_of_data: Any) -> None: ...
    def write_eof(self) -> None: ...
    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...
    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


async def _connect(data: bytes, *, upgraded: bool) -> None:
    state = ServerState()
    given: dict[str, Any] = {"config": _config, "server_state": state, "app_state": {}}
    protocol = cast("Any", _config.http_protocol_class)(**given, _loop=_loop)
    transport = _Transport()
    protocol.connection_made(transport)
    parts = [UPGRADE] if upgraded else []
    half = len(data) // 2
    for part in (*parts, data[:half], data[half:]):
        if part and not transport.closed:
            protocol.data_received(part)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    for task in list(state.tasks):
        await asyncio.wait([task], timeout=5)
        assert task.done(), "an exchange does not end with its connection"


_config = uvicorn.Config(
    **Connections(10).options(Exchanges(_echo)), log_config=None, access_log=False
)
_config.load()
_app = create_app(Settings(artifacts_dir=FOLDER / "app"), [])
