"""What is no HTTP gets one answer, and takes none from the request before it."""

import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from tests.live import LiveServer, exchange
from tests.patience import LIMIT_S, until

CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture
def going_on() -> threading.Event:
    """Return what lets the answer that has begun go on."""
    return threading.Event()


@pytest.fixture
def server(going_on: threading.Event) -> Iterator[LiveServer]:
    """Return a server whose `/slow` begins an answer, and ends it when told."""
    app = FastAPI()

    @app.post("/slow")
    async def slow(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first "
            await anyio.to_thread.run_sync(going_on.wait, LIMIT_S)
            if request.query_params:
                await request.body()
            yield b"last"

        return StreamingResponse(pieces())

    with LiveServer(app) as live:
        yield live


def head(target: str, *headers: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: 127.0.0.1", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


def test_a_broken_body_of_a_refused_request_is_answered_once(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer of the application, which reads no body, comes too late."""
    answer = exchange(server.port, head("/none", CHUNKED) + b"no size\r\n")
    until(lambda: server.connections == 0, "the server has done with it")

    assert (400, 1) == (answer.status, answer.body.count(b"Invalid HTTP"))
    assert b"Not Found" not in answer.body
    assert [] == errors(caplog)


@pytest.mark.parametrize(
    ("target", "headers", "then", "end"),
    [
        ("/slow", ("Connection: close", "Content-Length: 0"), b"\r\n\r\n", b"last"),
        ("/slow?body", (CHUNKED,), b"no size\r\n", b"first "),
    ],
    ids=["after the last request", "in its body"],
)
def test_what_follows_the_beginning_of_an_answer(
    server: LiveServer,
    going_on: threading.Event,
    caplog: pytest.LogCaptureFixture,
    target: str,
    headers: tuple[str, ...],
    then: bytes,
    end: bytes,
) -> None:
    """An answer to a whole request is whole; to one that breaks off it ends, and nothing fails."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as client:
        client.sendall(head(target, *headers))
        received = b""
        while b"first" not in received:
            received += client.recv(65_536)
        client.sendall(then)
        until(lambda: "Invalid HTTP request received." in caplog.messages, "it has been read")
        going_on.set()
        received += b"".join(iter(lambda: client.recv(65_536), b""))

    assert end in received.split(b"\r\n")
    assert 1 == received.count(b"HTTP/1.1 ")
    assert [] == errors(caplog)
