"""WebSockets that do not wait for ever for the other side.

uvicorn does not limit how long a WebSocket's peer may take nothing, and it cannot tell such a peer
that it is dropped, since its close frame waits for room. `WEBSOCKETS` are its options that do both.
"""

import socket
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from backend.watchdog import Watchdog

if TYPE_CHECKING:
    from asyncio.transports import BaseTransport

    from uvicorn._types import ASGISendEvent

SEND_BUFFER_BYTES = 128 * 1024
"""What the system buffers for a WebSocket; by itself it takes megabytes for a peer that reads
nothing."""
STALLED_S = 10.0
CLOSE_S = 2.0
MAX_MESSAGE_BYTES = 64 * 1024
"""Of a WebSocket's client; a larger one is answered with code 1009."""


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Cuts a peer that takes nothing for `STALLED_S`, or for `CLOSE_S` once it is dropped."""

    def connection_made(self, transport: "BaseTransport") -> None:
        """Bound what is buffered."""
        super().connection_made(transport)
        self._stall = Watchdog(self.transport.abort)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def pause_writing(self) -> None:
        """Begin to wait for a peer that has not taken what was sent."""
        super().pause_writing()
        self._stall.start(STALLED_S)

    def resume_writing(self) -> None:
        """Stop waiting."""
        super().resume_writing()
        self._stall.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stall.stop()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End with the server; a peer that takes nothing is not waited for."""
        stalled = not self.writable.is_set()
        super().shutdown()
        if stalled:
            self.transport.abort()

    async def send(self, message: "ASGISendEvent") -> None:
        """Send; a close frame is put behind what waits instead of waiting itself."""
        stalled = message["type"] == "websocket.close" and not self.writable.is_set()
        if stalled:
            self.writable.set()
            self._stall.start(CLOSE_S)
        await super().send(message)


WEBSOCKETS: dict[str, Any] = {
    "ws": BoundedWebSocket,
    "ws_max_size": MAX_MESSAGE_BYTES,
    "ws_per_message_deflate": False,
}
"""Messages are small, and a compressor per client would cost memory for each."""
