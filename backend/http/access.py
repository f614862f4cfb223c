"""Refuse requests with a foreign Host or Origin, or without the token where one is set.

A web page can make a visitor's browser send requests to this server. It cannot change two headers:
`Host`, the name that was asked for (DNS rebinding points another name at this machine), and
`Origin`, the page that asks. A Host must be an IP address, this machine's name or a configured one;
an Origin must be this server's or a configured one. The token, where `RR_API_TOKEN` is set, is
required for every request except those to `OPEN_PATHS` and those that a plugin declares; or the
cookie of a login, from a page of an origin that is admitted by its name.

A browser cannot send an Authorization header with a WebSocket. It offers the token as a
subprotocol: `bearer.` and the token in base64url without padding, beside the protocol it uses. A
token in the address (`?token=`) would be written to logs and histories, so it is not accepted.
"""

import ipaddress
import re
import socket
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.config import Settings, is_loopback
from backend.http.login import Logins
from backend.http.problems import ProblemError, problem_response
from backend.plugins import PluginStatuses

log = structlog.get_logger(__name__)

OPEN_PATHS = ("/", "/docs", "/readme", "/v1/health", "/v1/login", "/v1/logout")
"""They show nothing of this installation except that it runs."""
DEVELOPMENT_PORTS = (5173, 4173)
"""Of Vite: its development server and its preview of a built client."""
LOGGED_AT_MOST = 100
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._:\[\]-]{1,200}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_PART = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
SUBPROTOCOL_PREFIX = "bearer."
_WEBSOCKET_REFUSED = 4403
"""Close code of a refused WebSocket; before the handshake it is sent as status 403."""


class Access:
    """Refuse a request before it reaches a route."""

    def __init__(
        self, app: ASGIApp, settings: Settings, logins: Logins, board: PluginStatuses
    ) -> None:
        self._app = app
        self._settings = settings
        self._logins = logins
        self._board = board
        own = socket.gethostname().lower()
        names = (settings.host, *settings.allowed_hosts)
        self._hosts = {"localhost", own, f"{own}.local", *(name.lower() for name in names)}
        self._origins = set(admitted_origins(settings))
        self._logged: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except ProblemError as refusal:
            await self._refuse(refusal, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _refuse(
        self, refusal: ProblemError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        status = HTTPStatus(refusal.status_code)
        self._log_first(status, scope)
        if scope["type"] == "websocket":
            await receive()
            close = {"type": "websocket.close", "code": _WEBSOCKET_REFUSED}
            await send({**close, "reason": refusal.detail})
            return
        headers = {"access-control-allow-origin": "*", "vary": "origin", **(refusal.headers or {})}
        if status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        await problem_response(status, refusal.detail, headers=headers)(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raise ProblemError if a request is to be refused."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The Host is not a name of this server; add it to RR_ALLOWED_HOSTS.",
            )
        origin = headers.get("origin")
        is_named = origin is None or self._is_named(origin, hosts[0])
        if not is_named and "*" not in self._origins:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "Pages of that origin may not use this server; add it to RR_CORS_ORIGINS.",
            )
        if not self._logins.required or self._is_open(scope):
            return
        if is_named and self._logins.knows(HTTPConnection(scope).cookies):
            return
        given = _bearer(headers)
        if given is None and scope["type"] == "websocket":
            given = _bearer_subprotocol(scope.get("subprotocols", ()))
        if given is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED, "Send the header Authorization: Bearer <RR_API_TOKEN>."
            )
        self._logins.check(given, (scope.get("client") or ("", 0))[0])

    def _is_open(self, scope: Scope) -> bool:
        """Return whether a request needs no token; the path is the decoded one that routes get."""
        if scope["type"] != "http":
            return False
        method, path, headers = scope["method"], scope["path"], Headers(scope=scope)
        if method == "OPTIONS" and "access-control-request-method" in headers:
            return "origin" in headers  # a browser's preflight cannot send the token
        asked = f"{method} {path}"
        return path in OPEN_PATHS or any(
            _pattern(one).fullmatch(asked) for one in self._board.open_paths
        )

    def _log_first(self, status: HTTPStatus, scope: Scope) -> None:
        """Log a refusal once for each origin, host or client."""
        headers = Headers(scope=scope)
        if status == HTTPStatus.FORBIDDEN:
            event, who = "request refused: its origin is not admitted", "origin"
            given = headers.get("origin", "")
            admits = f"RR_CORS_ORIGINS={','.join([*self._settings.cors_origins, given])}"
            if not _ORIGIN.fullmatch(given):
                given, admits = "none", "serve the page over http"
        elif status == HTTPStatus.MISDIRECTED_REQUEST:
            given, _, _ = headers.get("host", "").partition(":")
            event, who = "request refused: its host is not a name of this server", "host"
            admits = f"RR_ALLOWED_HOSTS={','.join([*self._settings.allowed_hosts, given])}"
            if not _NAME.fullmatch(given):
                given, admits = "none", "use a name or an IP address"
        else:
            event, who = "request refused: it has no valid token", "client"
            given, _ = scope.get("client") or ("none", 0)
            admits = "send the value of RR_API_TOKEN"
        if (who, given) not in self._logged and len(self._logged) < LOGGED_AT_MOST:
            self._logged.add((who, given))
            log.warning(event, **{who: given}, admitted_by=admits)

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

    def _is_named(self, origin: str, host: str) -> bool:
        """Return whether `origin` is our own or a configured one, not only one of `*`."""
        if origin in self._origins:
            return True
        scheme, _, rest = origin.partition("://")
        return scheme in {"http", "https"} and rest.lower() == host.lower()


def admitted_origins(settings: Settings) -> tuple[str, ...]:
    """Return the origins of pages that may use this server, besides its own."""
    if not is_loopback(settings.host):
        return settings.cors_origins
    here = [
        f"http://{host}:{port}"
        for port in DEVELOPMENT_PORTS
        for host in ("localhost", "127.0.0.1", "[::1]")
    ]
    return (*settings.cors_origins, *here)


@lru_cache
def _pattern(request: str) -> re.Pattern[str]:
    """Return what matches "GET /v1/tide/*", but no part such as `..` and no empty one."""
    start = request.removesuffix("*")
    parts = re.escape(start).replace(r"\*", _PART)
    return re.compile(f"{parts}{_PART}(/{_PART})*" if start != request else parts)


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
