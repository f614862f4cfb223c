"""A real server on loopback for tests: the app under uvicorn, on a thread and a loop of its own."""

import asyncio
import json
import socket
import threading
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import httpx2
import uvicorn
from fastapi import FastAPI

from backend.http.connections import Connections, Exchanges
from tests.patience import LIMIT_S

Data = dict[str, Any]
Sequence = list[tuple[str, Data]]


class _Announcing(uvicorn.Server):
    """Says when it listens, and stops as the installation's own server does."""

    def __init__(
        self, config: uvicorn.Config, listening: threading.Event, connections: Connections
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._connections.stop()
        await super().shutdown(sockets)


class LiveServer:
    """Serves `app` from entering to leaving; what happens in between is real HTTP."""

    def __init__(
        self, app: FastAPI, connections: Connections | None = None, **options: Any
    ) -> None:
        self.app = app
        self._connections = connections or Connections(LIMIT_S)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        scheme = "https" if self._connections.tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._listening = threading.Event()
        self._server = _Announcing(
            uvicorn.Config(
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=2,
                **self._connections.options(Exchanges(app)),
                **options,
            ),
            self._listening,
            self._connections,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="live server")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(LIMIT_S), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), "the server did not stop"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections.open)

    @property
    def clients(self) -> set[int]:
        """The ports of the clients that are connected."""
        opened = list(self._connections.open)
        return {one.transport.get_extra_info("peername")[1] for one in opened}

    @property
    def unsent(self) -> int:
        """How many bytes wait for clients to take them, beyond what the system buffers."""
        opened = list(self._connections.open)
        return sum(one.transport.get_write_buffer_size() for one in opened)

    def client(self, **options: Any) -> httpx2.Client:
        """Return an HTTP client for this server."""
        return httpx2.Client(base_url=self.url, timeout=LIMIT_S, **options)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run `coroutine` on the server's loop and return its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(LIMIT_S)

    def settle(self) -> None:
        """Wait until every session has ended."""
        self.run(_sessions_ended())

    def _serve(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve([self._socket])

        asyncio.run(main())


async def _sessions_ended() -> None:
    sessions = [task for task in asyncio.all_tasks() if task.get_name().startswith("session ")]
    await asyncio.gather(*sessions, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response as it came over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes


def chat_body(*slot_ids: int, message: str = "What does the water remember?") -> Data:
    """Return the body of a chat with a different agent in each slot, whose stream tells all."""
    agents = ("claude-sonnet-4-5", "gpt-5.2", "gpt-4o", "gemini-3", "claude-opus-4-5", "gpt-5.1")
    slots = [{"slotId": slot_id, "agentId": agents[slot_id - 1]} for slot_id in slot_ids]
    return {"message": message, "slots": slots, "sessionStart": True}


def chat(
    server: LiveServer, *slot_ids: int, message: str = "What does the water remember?"
) -> Sequence:
    """Run one session to its end and return its events."""
    with server.client() as client:
        body = chat_body(*slot_ids, message=message)
        with client.stream("POST", "/v1/chat", json=body) as response:
            assert response.status_code == 200
            return list(events(response.iter_lines()))


def events(lines: Iterable[str]) -> Iterator[tuple[str, Data]]:
    """Yield the events of a stream by their name and data as their lines come in."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def exchange(port: int, request: bytes) -> Answer:
    """Send `request` as it is and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
        connection.sendall(request)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    return parse(received)


def get(port: int, target: str, *headers: str, method: str = "GET") -> Answer:
    """Request `target` without any client's tidying of paths and headers."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        *headers,
        "",
        "",
    ]
    return exchange(port, "\r\n".join(lines).encode("latin-1"))


def post(port: int, target: str, body: bytes, *headers: str) -> Answer:
    """Post `body` as it is."""
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        "",
    ]
    return exchange(port, "\r\n".join(lines).encode("latin-1") + body)


def parse(received: bytes) -> Answer:
    """Take a whole response apart; a chunked body is left in its chunks."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in rest)
    return Answer(int(first.split(" ")[1]), {k.lower(): v for k, _, v in pairs}, body)


def chunks(body: bytes) -> list[bytes]:
    """Return the chunks of a chunked body, without the last, empty one."""
    found = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if length:
            found.append(rest[:length])
        body = rest[length + 2 :]
    return found


def read_events(connection: socket.socket, count: int) -> bytes:
    """Read from an open stream until `count` events have come."""
    received = b""
    while received.count(b"event: ") < count or b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        assert chunk, f"the server closed the stream: {received!r}"
        received += chunk
    return received


def leave_after(server: LiveServer, count: int, *slot_ids: int) -> str:
    """Start a session, read `count` events, go away; return the first bytes that came."""
    body = json.dumps(chat_body(*slot_ids)).encode()
    head = (
        "POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as connection:
        connection.sendall(head.encode() + body)
        received = read_events(connection, count)
    assert 200 == parse(received).status
    return received.decode()
