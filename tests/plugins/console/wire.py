"""A connection to a server that a test can silence, cut and mend."""

import selectors
import socket
import threading
from contextlib import suppress
from typing import Self

from tests.patience import LIMIT_S

BLOCK = 65_536
LOOK_EVERY_S = 0.05


class Wire:
    """Forwards what comes at `port` to a server, until it is told not to."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._other: dict[socket.socket, socket.socket] = {}
        self._stopped = threading.Event()
        self._silent = threading.Event()
        self._thread = threading.Thread(target=self._forward, name="wire")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(LIMIT_S)

    def silence(self) -> None:
        """Forward nothing more; no connection is closed, and new ones are taken."""
        self._silent.set()

    def mend(self) -> None:
        """Close what was silent, and forward what comes from now on."""
        for one in list(self._other):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._silent.clear()

    def _forward(self) -> None:
        with self._listener, selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stopped.is_set():
                if self._silent.wait(LOOK_EVERY_S if self._silent.is_set() else 0):
                    continue
                for key, _ in selector.select(LOOK_EVERY_S):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._listener:
                        self._connect(selector)
                    elif one in self._other:
                        self._pass_on(selector, one)
            for one in list(self._other):
                one.close()

    def _connect(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port), LIMIT_S)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            self._other[one] = other
            selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, selector: selectors.BaseSelector, one: socket.socket) -> None:
        other = self._other[one]
        with suppress(OSError):
            data = one.recv(BLOCK)
            if data:
                other.sendall(data)
                return
        for end in (one, other):
            del self._other[end]
            selector.unregister(end)
            end.close()
