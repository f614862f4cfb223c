"""Connections with a limit for every silence, around the protocol class that reads them.

    socket -> Connection -> uvicorn's protocol -> Exchanges -> the application
                  ^                                   |
                  +----- what the application does ---+   by way of the scope's `state`

    state      from, until                                              limit
    waiting    connected or answered, until a request's head is whole   `request_s`
    reading    until its body is whole, or answered nevertheless        `request_s`, then 408
    busy       until its answer has been sent                           the application's own
    leaving    the answer came before the body, which is thrown away    `leaving_s`
    stalled    in any state, while the client takes nothing             `stalled_s`

A WebSocket is busy from its handshake to its end; uvicorn's pings find a client that has gone. If
there are too many connections the one that has been silent longest is cut, so that a new one is
always let in while any is silent. Only public parts of asyncio, ASGI and uvicorn are used.
"""

import asyncio
import os
import socket
import struct
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, cast

import structlog
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from backend.http.connections.exchanges import KEY, Exchanges
from backend.http.connections.watchdog import Watchdog

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 256
MIN_CONNECTIONS = 4
RESERVED_DESCRIPTORS = 48
"""About 20 of the server and its workers, 24 of six voices while they start, some files."""
WARNING_EVERY_S = 60.0
LEAVING_S = 2.0
"""How long a client that still sends a body is listened to: a reset would lose it the answer."""
LEAVING_BYTES = 2**20
"""How much of it is thrown away at most."""
PAUSE_S = 5.0
"""A client that has taken nothing for so long may be cut for a new one."""
STALLED_S = 60.0
"""Longer than a reader on a bad network pauses; a recording goes out 64 kB at a time."""
WEBSOCKET_STALLED_S = 10.0
WEBSOCKET_CLOSE_S = 2.0
"""For a WebSocket that is closed while its client takes nothing."""
WEBSOCKET_SEND_BUFFER_BYTES = 128 * 1024
"""What the system buffers for a WebSocket; by itself it takes megabytes for a peer that reads
nothing."""
MAX_MESSAGE_BYTES = 64 * 1024
"""Of a WebSocket's client; a larger one is answered with code 1009."""
RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""SO_LINGER: forget what the client has not taken."""


@dataclass
class Connections:
    """The open connections of one server, and their limits."""

    request_s: float
    leaving_s: float = LEAVING_S
    stalled_s: float = STALLED_S
    websocket_stalled_s: float = WEBSOCKET_STALLED_S
    websocket_close_s: float = WEBSOCKET_CLOSE_S
    most: int = field(default_factory=lambda: _most())
    open: "set[Connection]" = field(default_factory=set)
    stopped: bool = False
    _warn_at: float = 0.0

    def options(self, app: ASGIApp) -> dict[str, Any]:
        """Return the options for uvicorn to serve `app` within these limits."""
        return {
            "app": Exchanges(app),
            "http": self._connection,
            "ws": "websockets-sansio",
            "ws_max_size": MAX_MESSAGE_BYTES,
            "ws_per_message_deflate": False,  # messages are small, a compressor costs memory
        }

    def make_room(self) -> bool:
        """Return whether there is room; if need be, cut the connection that is silent longest.

        Of the larger crowd, those with or without an answer so far: so neither crowd costs a
        visitor the connection, be it new or kept.
        """
        if len(self.open) < self.most:
            return True
        silent = [one for one in self.open if one.silent_since is not None]
        if monotonic() >= self._warn_at:
            self._warn_at = monotonic() + WARNING_EVERY_S
            cut = "those that are silent longest" if silent else "new ones"
            log.warning("too many connections; some are cut", cut=cut, limit=self.most)
        if not silent:
            return False
        known = 2 * sum(one.known for one in silent) > len(silent)
        crowd = [one for one in silent if one.known == known]
        min(crowd, key=lambda one: one.silent_since or 0.0).cut()
        return True

    def stop(self) -> None:
        """Wait no more for clients that take nothing, nor for those whose answer is sent."""
        self.stopped = True
        for one in list(self.open):
            if one.leaving or (one.upgraded and one.stalled):
                one.cut()

    def _connection(self, **given: Any) -> "Connection":
        return Connection(self, **given)


class Connection(asyncio.Protocol):
    """Passes everything on between a socket and the protocol that reads it, and cuts silence."""

    def __init__(self, connections: Connections, app_state: dict[str, Any], **given: Any) -> None:
        self._all = connections
        self._protocol: asyncio.Protocol = H11Protocol(app_state={**app_state, KEY: self}, **given)
        self._silence, self._stall = Watchdog(self._end_silence), Watchdog(self.cut)
        self._unfinished = False
        """Whether the client has begun something that nobody is going to read to its end."""
        self._thrown_away = 0
        self.known = False
        """Whether it has had an answer."""
        self.leaving = False
        self.upgraded = False

    @property
    def stalled(self) -> bool:
        """Whether the client has yet to take what was sent."""
        return self._stall.runs

    @property
    def silent_since(self) -> float | None:
        """Since when there is nothing to answer, or nothing is taken; None while all is well."""
        pause = self._stall.since
        return self._silence.since or (pause if pause and monotonic() - pause > PAUSE_S else None)

    # --- what the application tells
    def awaits_body(self) -> None:
        """Note that an application has the head of a request; it is first to answer 408."""
        self._silence.start(self._all.request_s + self._all.leaving_s)

    def is_busy(self, *, unread: bool = False) -> None:
        """Note that a request is being answered, maybe with its body `unread`, or a WebSocket."""
        self._silence.stop()
        self._unfinished = unread

    def answered(self) -> None:
        """Wait for the next request."""
        self.known = True
        if not self.leaving:
            self._silence.start(self._all.request_s)

    def closes(self) -> None:
        """Let a WebSocket's close frame be put behind what its client does not take."""
        if self.stalled:
            self._stall.start(self._all.websocket_close_s)
            self._protocol.resume_writing()

    # --- what the socket tells
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request, unless there are too many connections."""
        self.transport = cast("asyncio.Transport", transport)
        if not self._all.make_room():
            self._protocol = asyncio.Protocol()  # which does nothing
            self.transport.abort()
            return
        self._all.open.add(self)
        self.transport.set_write_buffer_limits(high=0)  # to hear of every byte that is not taken
        self._silence.start(self._all.request_s)
        self._protocol.connection_made(cast("asyncio.Transport", _Transport(self, self.transport)))

    def data_received(self, data: bytes) -> None:
        """Pass on what came; a request has to be whole in time from its first byte on."""
        if self.leaving:
            self._thrown_away += len(data)
            if self._thrown_away > LEAVING_BYTES:
                self.cut()
            return
        if self._silence.runs and not self._unfinished:
            self._unfinished = True
            self._silence.start(self._all.request_s)
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return None if self.leaving else self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Begin to wait for a client that has not taken what was sent."""
        self._stall.start(self._all.websocket_stalled_s if self.upgraded else self._all.stalled_s)
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Stop waiting for it."""
        self._stall.stop()
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._all.open.discard(self)
        self._silence.stop()
        self._stall.stop()
        self._protocol.connection_lost(exc)

    # --- what uvicorn's protocol does
    def cut(self) -> None:
        """End at once; what the client has not taken is forgotten, here and in the system."""
        self._all.open.discard(self)
        if self.transport.get_write_buffer_size():
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def close(self) -> None:
        """End after what was written; take what a client still sends for a moment longer."""
        if self.leaving or self.transport.is_closing():
            return
        if not self._unfinished or self._all.stopped:
            self.transport.close()
            return
        self.leaving = True
        self._silence.start(self._all.leaving_s)
        self.transport.write_eof()
        self.transport.resume_reading()

    def upgrade(self, protocol: asyncio.Protocol) -> None:
        """Go on as a WebSocket."""
        self._protocol = protocol
        self.upgraded = True
        self.transport.set_write_buffer_limits()
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WEBSOCKET_SEND_BUFFER_BYTES)

    def _end_silence(self) -> None:
        if self.stalled:  # an answer is still on its way, within a limit of its own
            self.transport.close()
        else:
            self.cut()


class _Transport:
    """The transport as uvicorn's protocol sees it; whatever is not here is asyncio's own."""

    def __init__(self, connection: Connection, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self.write = transport.write
        self.close = connection.close
        self.set_protocol = connection.upgrade

    def is_closing(self) -> bool:
        return self._connection.leaving or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _most() -> int:
    """Return how many connections leave enough descriptors for everything else."""
    if os.name != "posix":
        return MAX_CONNECTIONS
    import resource

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, descriptors - RESERVED_DESCRIPTORS))
