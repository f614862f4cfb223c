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

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.config import Settings, is_loopback, origin_of, split_host
from backend.http.login import Logins
from backend.http.problems import ProblemError, problem_response
from backend.plugins import PluginStatuses

log = structlog.get_logger(__name__)

OPEN_PATHS = ("/", "/docs", "/readme", "/v1/health", "/v1/login", "/v1/logout")
"""They show nothing of this installation except that it runs."""
DEVELOPMENT_PORTS = (5173, 4173)
"""Of Vite: its development server and its preview of a built client."""
LOGGED_AT_MOST = 100
EXPOSED = ("x-session-id", "retry-after", "etag", "content-range")
"""Headers of our answers that pages of other origins may read."""
OPEN_TO_ALL = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": ", ".join(EXPOSED),
    "vary": "origin",
}
"""A page whose request is refused may read why."""
_PART = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
SUBPROTOCOL_PREFIX = "bearer."


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
        """Answer with the problem, also instead of the handshake of a WebSocket."""
        headers = {**OPEN_TO_ALL, **(refusal.headers or {})}
        if refusal.status_code == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        response = problem_response(refusal.status_code, refusal.detail, headers=headers)
        await response(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raise ProblemError if a request is to be refused."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        is_old = scope.get("http_version") == "1.0"
        if "transfer-encoding" in headers and (is_old or "content-length" in headers):
            # a proxy may see its end elsewhere than we do (RFC 9112, 6.1)
            raise ProblemError(HTTPStatus.BAD_REQUEST, "Send a length or, in HTTP/1.1, chunks.")
        # every browser sends a Host, and none speaks HTTP/1.0, whose clients need not
        if not ((is_old and not hosts) or (len(hosts) == 1 and self._is_own(hosts[0]))):
            raise self._misdirected(hosts[0] if hosts else "")
        is_named = not origins or (len(origins) == 1 and self._is_named(origins[0], hosts))
        if len(origins) > 1 or (not is_named and "*" not in self._origins):
            raise self._forbidden(origins[0])
        if not self._logins.required or self._is_open(scope):
            return
        if is_named and self._logins.knows(HTTPConnection(scope).cookies):
            return
        given = _bearer(headers)
        if given is None and scope["type"] == "websocket":
            given = _bearer_subprotocol(scope.get("subprotocols", ()))
        client, _ = scope.get("client") or ("", 0)
        try:
            if given is None:
                raise ProblemError(
                    HTTPStatus.UNAUTHORIZED, "Send the header Authorization: Bearer <RR_API_TOKEN>."
                )
            self._logins.check(given, client)
        except ProblemError:
            admits = "send the value of RR_API_TOKEN"
            self._log_first(
                "request refused: it has no valid token", "client", client or "none", admits
            )
            raise

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

    def _misdirected(self, host: str) -> ProblemError:
        """Return the refusal of a host, and log the setting that admits it."""
        try:
            name, _ = split_host(host)
        except ValueError:
            name, admits = "none", "use a name or an IP address"
            detail = "The Host is neither a name nor an IP address."
        else:
            admits = f"RR_ALLOWED_HOSTS={','.join([*self._settings.allowed_hosts, name])}"
            detail = "The Host is not a name of this server; add it to RR_ALLOWED_HOSTS."
        self._log_first(
            "request refused: its host is not a name of this server", "host", name, admits
        )
        return ProblemError(HTTPStatus.MISDIRECTED_REQUEST, detail)

    def _forbidden(self, given: str) -> ProblemError:
        """Return the refusal of an origin, and log the setting that admits it."""
        try:
            origin = origin_of(given)
        except ValueError:  # of a file, a sandbox or an extension: no setting admits it alone
            origin, admits = "none", "serve the page over http"
            detail = "A page without a web address may not use this server: serve it over http."
        else:
            admits = f"RR_CORS_ORIGINS={','.join([*self._settings.cors_origins, origin])}"
            detail = "Pages of that origin may not use this server; add it to RR_CORS_ORIGINS."
        event = "request refused: its origin is not admitted"
        self._log_first(event, "origin", origin, admits)
        return ProblemError(HTTPStatus.FORBIDDEN, detail)

    def _log_first(self, event: str, who: str, given: str, admits: str) -> None:
        """Log a refusal once for each origin, host or client."""
        if (who, given) not in self._logged and len(self._logged) < LOGGED_AT_MOST:
            self._logged.add((who, given))
            log.warning(event, **{who: given}, admitted_by=admits)

    def _is_own(self, host: str) -> bool:
        try:
            name, _ = split_host(host)
            return name in self._hosts or bool(ipaddress.ip_address(name.strip("[]")))
        except ValueError:
            return False

    def _is_named(self, given: str, hosts: list[str]) -> bool:
        """Return whether an origin is our own or a configured one, not only one of `*`."""
        try:
            origin = origin_of(given)
            own = {origin_of(f"{origin.partition(':')[0]}://{host}") for host in hosts}
        except ValueError:
            return False
        return origin in self._origins or origin in own


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
