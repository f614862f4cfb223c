"""HTTP/1.1 that does not wait for ever for a request.

uvicorn limits the pause after an answer, not the time until the first request or the time its head
takes: whoever opens connections and says nothing would use up the server's descriptors.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class LimitedProtocol(H11Protocol):
    """Closes a connection whose request line and headers are not there after `limit_s`."""

    limit_s: float
    _expiry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; wait on if it is only a part of a request's head."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._watch()
        else:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._expiry is None:
            self._expiry = self.loop.call_later(self.limit_s, self.transport.abort)

    def _rest(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None


def limited_to(limit_s: float) -> type[LimitedProtocol]:
    """Return the protocol with its limit, as uvicorn's `http` option wants it."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limit_s": limit_s})
