"""A server does not wait for ever for clients that take nothing of their answers."""

import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from backend.protocol import LimitedProtocol
from tests.live import LiveServer
from tests.patience import LIMIT_S, until

LARGE = 32 * 2**20
"""Far more than the buffers of both ends take."""
REQUEST = b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextmanager
def serving(stalled_s: float) -> Iterator[LiveServer]:
    """Serve a large answer to clients that may take nothing of it for so long."""
    app = FastAPI()

    @app.get("/large")
    def large() -> Response:
        return Response(bytes(LARGE))

    @app.get("/until-full")
    def until_full() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            while not any(one.transport.get_write_buffer_size() for one in connections(server)):
                yield bytes(1024)

        return StreamingResponse(pieces())

    limits = {"limit_s": LIMIT_S, "max_connections": 8, "stalled_s": stalled_s}
    protocol = type("Impatient", (LimitedProtocol,), limits)
    with LiveServer(app, http=protocol, timeout_keep_alive=LIMIT_S) as server:
        yield server


def test_a_client_that_reads_nothing_is_cut() -> None:
    """It loses its connection, and with it all that the server held for it."""
    with serving(stalled_s=0.2) as server, connected(server) as client:
        client.sendall(REQUEST)
        client.recv(1)  # the answer has begun

        until(lambda: server.connections == 0, "the connection is cut")


def test_one_that_leaves_a_little_is_cut_too() -> None:
    """Less than asyncio tells of by itself, at the end of an answer that is over."""
    with serving(stalled_s=0.2) as server, connected(server) as client:
        client.sendall(REQUEST.replace(b"/large", b"/until-full"))
        client.recv(1)

        until(lambda: server.connections == 0, "the connection is cut")


@pytest.mark.e2e
def test_a_client_that_reads_on_is_not() -> None:
    """One that paused and went on has its whole answer, and the connection after the limit too."""
    stalled_s = 3.0
    with serving(stalled_s) as server, connected(server) as client:
        answers = client.makefile("rb")
        client.sendall(REQUEST)
        until(lambda: paused(server), "the answer waits for its reader")
        first = read_answer(answers)
        time.sleep(1.1 * stalled_s)

        client.sendall(REQUEST)
        second = read_answer(answers)

    assert (LARGE, LARGE) == (first, second)


def connected(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)


def read_answer(answers: BinaryIO) -> int:
    """Read the head and the body of an answer; return the body's length."""
    while answers.readline() != b"\r\n":
        pass
    return len(answers.read(LARGE))


def paused(server: LiveServer) -> bool:
    return any(one.flow.write_paused for one in list(connections(server)))


def connections(server: LiveServer) -> set[LimitedProtocol]:
    return cast("set[LimitedProtocol]", server._server.server_state.connections)
