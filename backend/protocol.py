"""HTTP/1.1 that does not wait for ever for a request or a reader, nor for any number of clients.

uvicorn limits the pause after an answer, not the time until the first request or the time its head
takes, nor how long a client may take nothing of an answer: whoever opens connections and says or
reads nothing would use up the server's descriptors. Those that voices, workers and files need are
kept back, so that a session comes through in any crowd.
"""

import asyncio
import os
from time import monotonic

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from backend.watchdog import Watchdog

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 256
MIN_CONNECTIONS = 4
RESERVED_DESCRIPTORS = 48
"""About 20 of the server and its workers, 24 of six voices while they start, some files."""
WARNING_EVERY_S = 60.0
STALLED_S = 60.0
"""Longer than a reader on a bad network pauses; a recording goes out 64 kB at a time."""


class LimitedProtocol(H11Protocol):
    """Closes a connection without a whole request head after `limit_s`, or one too many.

    And one whose client takes longer than `stalled_s` for what it was last sent.
    """

    limit_s: float
    max_connections: int
    stalled_s: float = STALLED_S
    _warn_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        self._silence, self._stall = Watchdog(transport.abort), Watchdog(transport.abort)
        transport.set_write_buffer_limits(high=0)  # to hear of every byte that is not taken
        if len(self.connections) > self.max_connections:
            self._refuse()
        else:
            self._silence.start(self.limit_s)

    def data_received(self, data: bytes) -> None:
        """Take what came; wait on if it is only a part of a request's head."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._silence.stop()
        elif not self._silence.runs:
            self._silence.start(self.limit_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._silence.stop()
        self._stall.stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for a client that has not taken what was sent."""
        super().pause_writing()
        self._stall.start(self.stalled_s)

    def resume_writing(self) -> None:
        """Stop waiting for it."""
        self._stall.stop()
        super().resume_writing()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to a WebSocket, which has limits of its own."""
        self._stall.stop()
        self.transport.set_write_buffer_limits()
        super().handle_websocket_upgrade(event)

    def _refuse(self) -> None:
        self.transport.abort()
        if monotonic() >= self._warn_at:
            type(self)._warn_at = monotonic() + WARNING_EVERY_S
            log.warning("too many connections; new ones are cut", limit=self.max_connections)


def limited_to(limit_s: float) -> type[LimitedProtocol]:
    """Return the protocol with its limits, as uvicorn's `http` option wants it."""
    limits = {"limit_s": limit_s, "max_connections": _max_connections()}
    return type("LimitedProtocol", (LimitedProtocol,), limits)


def _max_connections() -> int:
    """Return how many connections leave enough descriptors for everything else."""
    if os.name != "posix":
        return MAX_CONNECTIONS
    import resource

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, descriptors - RESERVED_DESCRIPTORS))
