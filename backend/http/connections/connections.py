"""Connections with a time limit for every state, around the protocol class that reads them.

    socket -> Connection -> uvicorn's protocol -> Exchanges -> the application
                  ^                                   |
                  +----- what the application does ---+   by way of the scope's `state`

    state      from, until                                              limit
    waiting    connected or answered, until a request's head is whole;  `request_s`
               with TLS the handshake is a part of it
    reading    until its body is whole, or it is answered               that of its path, then 408
    busy       until its answer has been sent                           the application's own
    leaving    answered before the body was read; the rest is dropped   `leaving_s`
    stalled    in any state, while the client does not read             `stalled_s`

A WebSocket is busy from its handshake to its end; uvicorn's pings find a client that has gone. If
there are too many connections, the one that has been idle longest is aborted for a new one. Only
public parts of asyncio, ASGI and uvicorn are used.
"""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, cast

import structlog
from starlette.types import ASGIApp
from websockets.exceptions import WebSocketException

from backend.http.connections.http1 import Http1
from backend.http.connections.watchdog import Watchdog

log = structlog.get_logger(__name__)

KEY = "connection"
"""Key of the connection in the `state` of an ASGI scope."""
MAX_CONNECTIONS = 256
MIN_CONNECTIONS = 4
RESERVED_DESCRIPTORS = 48
"""About 20 for the server and its workers, 24 for six voices that start, some for files."""
WARNING_EVERY_S = 60.0
LEAVING_S = 2.0
"""How long the rest of a body is read: without that, the client may lose the answer to a reset."""
LEAVING_BYTES = 32 * 2**20
"""How much of it is read at most: more than a recording may have."""
PAUSE_S = 5.0
"""A client that has read nothing for that long may be aborted for a new one."""
STALLED_S = 60.0
"""Longer than a client on a bad network pauses; a recording is sent 64 kB at a time."""
WEBSOCKET_STALLED_S = 10.0
WEBSOCKET_CLOSE_S = 2.0
"""For a WebSocket that is closed while its client does not read."""
WEBSOCKET_SEND_BUFFER_BYTES = 128 * 1024
"""Of the system, for a WebSocket; its default would buffer megabytes for a client that does not
read."""
MAX_MESSAGE_BYTES = 64 * 1024
"""Of a WebSocket's client; a larger one is answered with code 1009."""
RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""SO_LINGER: drop what the client has not read."""


@dataclass
class Connections:
    """The open connections of one server, and their limits."""

    request_s: float
    body_s: Mapping[str, float] = field(default_factory=dict)
    """By path, how long a body may take that has a limit of its own."""
    leaving_s: float = LEAVING_S
    stalled_s: float = STALLED_S
    websocket_stalled_s: float = WEBSOCKET_STALLED_S
    websocket_close_s: float = WEBSOCKET_CLOSE_S
    tls: ssl.SSLContext | None = None
    """Of a server that speaks HTTPS. uvicorn is not told of it: it would not count or limit the
    connections whose handshake is not finished."""
    trusted_proxies: Sequence[str] = ()
    """Whose `X-Forwarded-For` and `X-Forwarded-Proto` count; those of others are headers as any."""
    most: int = field(default_factory=lambda: _most())
    open: "set[Connection]" = field(default_factory=set)
    stopped: bool = False
    _warn_at: float = 0.0

    def options(self, app: ASGIApp) -> dict[str, Any]:
        """Return the options for uvicorn to serve `app`, an `Exchanges`, within these limits."""
        return {
            "app": app,
            "http": self._connection,
            "ws": "websockets-sansio",
            "proxy_headers": bool(self.trusted_proxies),
            "forwarded_allow_ips": list(self.trusted_proxies),
            "ws_max_size": MAX_MESSAGE_BYTES,
            "ws_per_message_deflate": False,  # messages are small, a compressor costs memory
        }

    def make_room(self) -> bool:
        """Return whether there is room; abort the connection that is idle longest to make some.

        It is one of the larger group, those with or those without an answer so far: so a flood of
        one kind does not abort connections of the other.
        """
        if len(self.open) < self.most:
            return True
        idle = [one for one in self.open if one.idle_since is not None]
        if monotonic() >= self._warn_at:
            self._warn_at = monotonic() + WARNING_EVERY_S
            aborted = "the longest idle" if idle else "new ones"
            log.warning("too many connections", aborted=aborted, limit=self.most)
        if not idle:
            return False
        answered = 2 * sum(one.was_answered for one in idle) > len(idle)
        group = [one for one in idle if one.was_answered == answered]
        min(group, key=lambda one: one.idle_since or 0.0).abort()
        return True

    def stop(self) -> None:
        """Abort connections whose client does not read, or whose answer is sent."""
        self.stopped = True
        for one in list(self.open):
            if one.leaving or one.is_opening or (one.upgraded and one.stalled):
                one.abort()

    def _connection(self, **given: Any) -> "Connection":
        return Connection(self, **given)


class Connection(asyncio.Protocol):
    """Stand between a socket and the protocol that reads it, and limit each wait."""

    def __init__(self, connections: Connections, app_state: dict[str, Any], **given: Any) -> None:
        self._all = connections
        self._http = Http1(app_state={**app_state, KEY: self}, **given)
        self._protocol = asyncio.Protocol()
        """Does nothing, until the connection is open for requests."""
        self._handshake: asyncio.Task[None] | None = None
        self._early = b""
        self.is_opening = True
        """Whether its TLS handshake is not finished."""
        self._idle, self._stall = Watchdog(self._end_idle), Watchdog(self.abort)
        self._unfinished = False
        """Whether the client has begun a request that will not be read to its end."""
        self._dropped = 0
        self.was_answered = False
        """Whether a request of it has been answered."""
        self.leaving = False
        self.upgraded = False

    @property
    def stalled(self) -> bool:
        """Whether the client has not read all that was sent."""
        return self._stall.runs

    @property
    def idle_since(self) -> float | None:
        """Since when there is nothing to answer, or the client reads nothing; else None."""
        pause = self._stall.since
        return self._idle.since or (pause if pause and monotonic() - pause > PAUSE_S else None)

    # --- called by the application
    def awaits_body(self, path: str) -> None:
        """Wait for a body; `BodyLimit` answers 408 before this limit."""
        limit_s = self._all.body_s.get(path, self._all.request_s)
        self._idle.start(limit_s + self._all.leaving_s)

    def is_busy(self, *, unread: bool = False) -> None:
        """A request is being answered, maybe with its body `unread`, or a WebSocket is open."""
        self._idle.stop()
        self._unfinished = unread

    def answered(self) -> None:
        """Wait for the next request."""
        self.was_answered = True
        if not self.leaving:
            self._idle.start(self._all.request_s)

    def closes(self) -> None:
        """Let the close frame of a WebSocket be queued behind what its client does not read."""
        if self.stalled:
            self._stall.start(self._all.websocket_close_s)
            self._protocol.resume_writing()

    # --- called by the socket's transport
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, unless there are too many connections."""
        self.transport = cast("asyncio.Transport", transport)
        if not self._all.make_room():
            self.transport.abort()
            return
        raw = self.transport.get_extra_info("socket")
        # asyncio does it only where the listening socket names its protocol; without it the body of
        # an answer waits 40 ms until its head is acknowledged
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._all.open.add(self)
        self._idle.start(self._all.request_s)
        if self._all.tls is None:
            self._opened(self.transport)
            return
        self.transport.pause_reading()
        secure = self._secure(self._all.tls)
        self._handshake = asyncio.get_running_loop().create_task(secure, name="TLS handshake")

    async def _secure(self, context: ssl.SSLContext) -> None:
        """Go on once TLS is spoken; a client that cannot is dropped."""
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                self.transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self._all.request_s,
                ssl_shutdown_timeout=self._all.leaving_s,
            )
        except OSError as error:
            log.debug("TLS handshake failed", reason=str(error))
            transport = None
        if transport is None:
            self.abort()
            self.connection_lost(None)
        else:
            self._opened(transport)

    def _opened(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        # pause_writing() for every byte not sent; with TLS asyncio pauses at the limit already
        transport.set_write_buffer_limits(high=1 if self._handshake else 0, low=0)
        self.is_opening = False
        self._protocol = self._http
        self._protocol.connection_made(cast("asyncio.Transport", _Transport(self, transport)))
        if self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        """Pass data on; the time limit of a request begins with its first byte."""
        if self.is_opening:  # sent with the end of the handshake
            self._early += data
            return
        if self.leaving:
            self._dropped += len(data)
            if self._dropped > LEAVING_BYTES:
                self.abort()
            return
        if self._idle.runs and not self._unfinished:
            self._unfinished = True
            self._idle.start(self._all.request_s)
        try:
            self._protocol.data_received(data)
        except WebSocketException as error:  # text that is not UTF-8, with a close frame behind it
            log.debug("WebSocket aborted", reason=str(error))
            self.abort()

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return None if self.leaving else self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Wait for a client that has not read what was sent."""
        self._stall.start(self._all.websocket_stalled_s if self.upgraded else self._all.stalled_s)
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Stop waiting for the client."""
        self._stall.stop()
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._all.open.discard(self)
        self._idle.stop()
        self._stall.stop()
        self._protocol.connection_lost(exc)

    # --- called by uvicorn's protocol
    def abort(self) -> None:
        """End at once; what the client has not read is dropped, here and in the system."""
        self._all.open.discard(self)
        if self.transport.get_write_buffer_size():
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def close(self) -> None:
        """End after what was written; read what the client still sends for `leaving_s`."""
        if self.leaving or self.transport.is_closing():
            return
        if not self._unfinished or self._all.stopped:
            self.transport.close()
            return
        self.leaving = True
        self._idle.start(self._all.leaving_s)
        if self.transport.can_write_eof():  # not with TLS
            self.transport.write_eof()
        self.transport.resume_reading()

    def upgrade(self, protocol: asyncio.Protocol) -> None:
        """Go on as a WebSocket."""
        self._protocol = protocol
        self.upgraded = True
        self.transport.set_write_buffer_limits()
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WEBSOCKET_SEND_BUFFER_BYTES)

    def _end_idle(self) -> None:
        if self.stalled:  # the answer has a limit of its own
            self.transport.close()
        else:
            self.abort()


class _Transport:
    """The transport for uvicorn's protocol; all else is asyncio's."""

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
    """Return how many connections leave enough file descriptors for all else."""
    if os.name != "posix":
        return MAX_CONNECTIONS
    import resource

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, descriptors - RESERVED_DESCRIPTORS))
