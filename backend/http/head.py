"""Answers HEAD wherever there is GET: with its head alone (RFC 9110, 9.3.2)."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _HeadSentError(OSError):
    """Ends what would go on sending, as a client that has gone does (ASGI: `send` raises it)."""


class Head:
    """Runs GET for HEAD, with its checks, and ends the answer after its head."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, HEAD as GET."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_sent = False

        async def sent(message: Message) -> None:
            nonlocal is_sent
            if is_sent:
                if message.get("more_body"):
                    raise _HeadSentError
                return
            await send(message)
            if message["type"] == "http.response.start":
                is_sent = True
                await send({"type": "http.response.body"})

        try:
            await self._app({**scope, "method": "GET"}, receive, sent)
        except* (_HeadSentError, ClientDisconnect):
            pass
