"""A server does not wait for ever for clients that take nothing of their answers."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI, Response

from backend.protocol import LimitedProtocol
from tests.live import LIMIT_S, LiveServer, until

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

    limits = {"limit_s": LIMIT_S, "max_connections": 8, "stalled_s": stalled_s}
    with LiveServer(app, http=type("Impatient", (LimitedProtocol,), limits)) as server:
        yield server


def test_a_client_that_reads_nothing_is_cut() -> None:
    """It loses its connection, and with it all that the server held for it."""
    with serving(stalled_s=0.2) as server, connected(server) as client:
        client.sendall(REQUEST)
        client.recv(1)  # the answer has begun

        until(lambda: server.connections == 0, "the connection is cut")


def test_a_client_that_reads_on_is_not() -> None:
    """One that paused and went on has its whole answer, and the connection after the limit too."""
    stalled_s = 3.0
    with serving(stalled_s) as server, connected(server) as client:
        client.sendall(REQUEST)
        client.recv(1)
        until(lambda: paused(server), "the answer waits for its reader")
        read = 1
        while read <= LARGE:
            read += len(client.recv(2**20))
        time.sleep(1.1 * stalled_s)

        client.sendall(REQUEST)
        again = client.recv(2**20)

    assert again.startswith(b"HTTP/1.1 200")


def connected(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)


def paused(server: LiveServer) -> bool:
    return any(one.flow.write_paused for one in server._server.server_state.connections)  # type: ignore[union-attr]  # all are HTTP
