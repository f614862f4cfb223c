"""The token of this server, and the cookies of the browsers that have sent it."""

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from http import HTTPStatus
from math import ceil
from secrets import token_urlsafe
from time import monotonic
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, SecretStr

from backend.http import problems
from backend.http.problems import ProblemError
from backend.http.rate_limit import RateLimit

log = structlog.get_logger(__name__)

COOKIE = "rr_session"
LIFE_S = 12 * 60 * 60
MAX_LOGINS = 1_000
"""Browsers that are logged in at once; of more, those that came first have to log in again."""
WRONG_PER_MINUTE = 10
"""Wrong tokens of one client; after these its tokens are not compared for a while."""
MAX_WRONG = 1_000
"""Wrong tokens that are remembered: a client with an old one may send it as often as it likes."""


class Logins:
    """Compares tokens with that of the server; keeps the cookies in memory, by their hashes."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = _hash(token.get_secret_value().encode()) if token else None
        self._ends_at: dict[bytes, float] = {}
        self._rate = RateLimit(WRONG_PER_MINUTE)
        self._wrong: dict[bytes, None] = {}

    @property
    def required(self) -> bool:
        """Whether clients have to send a token."""
        return self._token is not None

    def check(self, given: bytes, client: str) -> None:
        """Raise ProblemError unless `given` is the token, or without comparing it: 401, 429.

        A right one that passed always would let a client guess as fast as it can.
        """
        hashed = _hash(given)
        if self._token is None:
            return
        if hashed not in self._wrong:
            if wait_s := self._rate.wait_s(client, counts=False):
                raise ProblemError(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"Too many wrong tokens came from {client}: wait {ceil(wait_s)} s.",
                    headers={"retry-after": str(ceil(wait_s))},
                )
            if compare_digest(hashed, self._token):
                return
            self._rate.wait_s(client)
            log.warning("wrong token", client=client, limit_per_minute=WRONG_PER_MINUTE)
            _make_room(self._wrong, MAX_WRONG)
            self._wrong[hashed] = None
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "The token is not that of RR_API_TOKEN.")

    def open(self) -> str:
        """Return the cookie of a new login."""
        cookie = token_urlsafe()
        _make_room(self._ends_at, MAX_LOGINS)
        self._ends_at[_hash(cookie.encode())] = monotonic() + LIFE_S
        return cookie

    def close(self, cookies: Mapping[str, str]) -> None:
        """End the login of a client with these cookies."""
        self._ends_at.pop(_hash(cookies.get(COOKIE, "").encode()), None)

    def knows(self, cookies: Mapping[str, str]) -> bool:
        """Return whether a client with these cookies is logged in."""
        hashed = _hash(cookies.get(COOKIE, "").encode())
        return self._ends_at.get(hashed, 0.0) > monotonic()


class LoginRequest(BaseModel):
    """The token, sent once."""

    token: SecretStr = Field(max_length=1000, description="The value of RR_API_TOKEN.")


def login_router(logins: Logins) -> APIRouter:
    """Return the routes of login and logout."""
    router = APIRouter(tags=["access"])

    @router.post(
        "/v1/login",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems.responses(400, 408, 413, 415, 422, 429),
    )
    async def login(wanted: LoginRequest, request: Request, response: Response) -> None:
        """Set a cookie that counts as the token for 12 hours, at most until the server ends."""
        if not logins.required:
            return
        client = request.client.host if request.client else ""
        logins.check(wanted.token.get_secret_value().encode(errors="replace"), client)
        logins.close(request.cookies)
        log.info("logged in", client=client)
        response.set_cookie(
            COOKIE,
            logins.open(),
            max_age=LIFE_S,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )

    @router.post("/v1/logout", status_code=HTTPStatus.NO_CONTENT)
    async def logout(request: Request, response: Response) -> None:
        """End the login of this browser."""
        logins.close(request.cookies)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    return router


def _hash(secret: bytes) -> bytes:
    return sha256(secret).digest()


def _make_room(kept: dict[bytes, Any], most: int) -> None:
    """Forget the oldest entry if there are `most`."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
