"""Who may talk to the server: the right Host, no foreign Origin, the token where one is set.

A browser in the gallery can be made to send requests here by any page it shows. It cannot lie about
two things: the name it asked for (`Host`), which betrays a name that was pointed at this machine
(DNS rebinding), and the page it comes from (`Origin`). So a Host must be an IP address, this
machine's own name or one that is configured, and an Origin must be this server's or a configured
one. The token, where `RR_API_TOKEN` is set, is asked of every request but the liveness probe.

A browser cannot send an Authorization header with a WebSocket. It offers the token as a subprotocol
instead, `bearer.` and the token in base64url without padding, beside the one it means to speak. In
the address (`?token=`) it would end up in logs and histories, so it is not taken from there.
"""

import ipaddress
import socket
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from hmac import compare_digest
from http import HTTPStatus
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.problems import problem_response

OPEN_PATHS = ("/v1/health",)
SUBPROTOCOL_PREFIX = "bearer."
_WEBSOCKET_REFUSED = 4403
"""Close code of a refused WebSocket; sent as a plain 403 before the handshake ends."""


class Access:
    """Refuses a request before it reaches a route.

    Parameters
    ----------
    app : ASGI application
        What is behind it.
    allowed_hosts : iterable of str
        Names by which this server may be called, besides IP addresses, localhost and its own name.
    allowed_origins : iterable of str
        Origins of web clients; `*` allows every one.
    token : SecretStr, optional
        What a client has to know.
    """

    def __init__(
        self,
        app: ASGIApp,
        allowed_hosts: Iterable[str],
        allowed_origins: Iterable[str],
        token: SecretStr | None,
    ) -> None:
        self._app = app
        own = socket.gethostname().lower()
        self._hosts = {"localhost", own, f"{own}.local", *(name.lower() for name in allowed_hosts)}
        self._origins = set(allowed_origins)
        self._token = token.get_secret_value().encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, detail = refusal
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _WEBSOCKET_REFUSED, "reason": detail})
            return
        headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
        await problem_response(status, detail, headers=headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return (
                HTTPStatus.MISDIRECTED_REQUEST,
                "This server does not go by that name; add it to RR_ALLOWED_HOSTS.",
            )
        origin = headers.get("origin")
        if origin is not None and not self._may_come_from(origin, hosts[0]):
            return (
                HTTPStatus.FORBIDDEN,
                "Pages of that origin may not use this server; add it to RR_CORS_ORIGINS.",
            )
        if self._token is not None and scope["path"] not in OPEN_PATHS:
            given = _bearer(headers)
            if given is None and scope["type"] == "websocket":
                given = _bearer_subprotocol(scope.get("subprotocols", ()))
            if given is None or not compare_digest(given, self._token):
                return (
                    HTTPStatus.UNAUTHORIZED,
                    "Send the header Authorization: Bearer <RR_API_TOKEN>.",
                )
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            _ = urlsplit(f"//{host}").port
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _may_come_from(self, origin: str, host: str) -> bool:
        if "*" in self._origins or origin in self._origins:
            return True
        scheme, _, rest = origin.partition("://")
        return scheme in {"http", "https"} and rest.lower() == host.lower()


def _bearer(headers: Headers) -> bytes | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip().encode() if scheme.lower() == "bearer" else None


def _bearer_subprotocol(offered: Iterable[str]) -> bytes | None:
    for name in offered:
        if name.startswith(SUBPROTOCOL_PREFIX):
            encoded = name.removeprefix(SUBPROTOCOL_PREFIX)
            try:
                return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            except ValueError:
                return None
    return None
