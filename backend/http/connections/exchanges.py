"""Report to a connection what the application does; give each answer the headers of all."""

from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from backend.http.connections.connections import KEY, Connection

log = structlog.get_logger(__name__)

WRONG: Final = {1002: "no WebSocket frame", 1007: "text that is not UTF-8", 1009: "too much"}
"""Codes with which a WebSocket is closed for what its client has sent (RFC 6455, 7.4.1)."""
LOGGED_AT_MOST = 100
OF_ALL: Final = {
    "cache-control": "no-store",
    "content-security-policy": "base-uri 'none'; frame-ancestors 'none'; object-src 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of each answer that has no other: a browser keeps it not, and takes it for nothing else."""


class Exchanges:
    """The outermost middleware: it reports each exchange to its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._logged: set[tuple[str, int]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and report the start, the answer and the end."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        connection: Connection = scope["state"].pop(KEY)
        answered = refused = False
        unread = scope["type"] == "http" and _has_body(Headers(scope=scope))

        async def received() -> Message:
            nonlocal unread
            message = await receive()
            if unread and message["type"] == "http.request" and not message.get("more_body"):
                unread = False
                connection.is_busy()
            elif message["type"] == "websocket.disconnect":
                self._log_first(scope, int(message["code"]))
            return message

        async def sent(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in OF_ALL.items():
                    headers.setdefault(name, value)
                if unread:
                    headers["connection"] = "close"
                    connection.is_busy(unread=True)
            elif message["type"] == "websocket.close":
                connection.closes()
            elif message["type"] == "websocket.http.response.start":
                refused = True
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                end()

        def end() -> None:
            nonlocal answered
            if not answered:  # the next request may have begun before this one returns
                answered = True
                connection.answered()

        if unread:
            connection.awaits_body(scope["path"])
        else:
            connection.is_busy()
        try:
            await self._app(scope, received, sent)
        finally:
            end()
        if refused:  # uvicorn takes the answer for a handshake that was forgotten, an error
            raise ClientDisconnected

    def _log_first(self, scope: Scope, code: int) -> None:
        """Log what a client has sent wrong, once for each client and code."""
        client, _ = scope.get("client") or ("none", 0)
        is_new = code in WRONG and (client, code) not in self._logged
        if is_new and len(self._logged) < LOGGED_AT_MOST:
            self._logged.add((client, code))
            log.warning("WebSocket closed", client=client, code=code, sent=WRONG[code])


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip("0") != ""
