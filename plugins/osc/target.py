"""One target of datagrams; sending to it never waits."""

import asyncio
import socket
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Target:
    """Sends to `host`:`port`; its name is looked up until it is found.

    A datagram that cannot be sent is dropped. Of several failures the first is logged, and then the
    first success.
    """

    def __init__(self, host: str, port: int) -> None:
        self.name = f"{host}:{port}"
        self.sent = 0
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._address: Any = None
        self.problem = ""
        """Why it cannot be sent to; empty if it can."""
        self._lookup: asyncio.Task[None] | None = None

    def find(self) -> None:
        """Start to look the name up, unless that is running or done."""
        if self._socket is None and (self._lookup is None or self._lookup.done()):
            self._lookup = asyncio.create_task(self._find(), name=f"find {self.name}")

    async def found(self, limit_s: float) -> None:
        """Wait for the lookup; a name server may take longer than `limit_s`."""
        if self._lookup is not None:
            await asyncio.wait([self._lookup], timeout=limit_s)

    def send(self, datagram: bytes) -> None:
        """Send a datagram and return at once; drop it if it cannot be sent."""
        if self._socket is None:
            return
        try:
            self._socket.sendto(datagram, self._address)
        except OSError as error:
            self._fail(f"{self.name} cannot be reached: {error}")
            return
        self.sent += 1
        if self.problem:
            log.info("OSC can be sent again", target=self.name)
            self.problem = ""

    def close(self) -> None:
        """Stop the lookup and close the socket."""
        if self._lookup is not None:
            self._lookup.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _find(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            family, _, _, _, self._address = found[0]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        except (OSError, UnicodeError) as error:  # the latter: not a name that DNS can have
            self._fail(f"{self.name} cannot be found: {error}")

    def _fail(self, problem: str) -> None:
        if not self.problem:
            log.warning(
                "OSC cannot be sent; each further event is tried", target=self.name, reason=problem
            )
        self.problem = problem
