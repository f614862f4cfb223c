"""Refuse requests that are too large or too slow, with a problem.

Starlette's `max_body_size` was rejected: it answers in plain text.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.http.problems import problem_response


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a body may be, and how long it may take."""

    max_bytes: int
    limit_s: float


MAX_HEAD_BYTES = 64 * 1024  # uvicorn lets more through that arrives in one piece


class BodyLimit:
    """Answer 431 or 413 to a head or a body over its limit, 408 to one that takes longer.

    A path has the limits of `of_paths`, every other one those of `limits`.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, of_paths: Mapping[str, Limits] | None = None
    ) -> None:
        self._app = app
        self._limits = limits
        self._of_paths = of_paths or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limits = self._of_paths.get(scope["path"], self._limits)
        head = sum(len(name) + len(value) for name, value in scope["headers"])
        is_long = head + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEAD_BYTES
        length = Headers(scope=scope).get("content-length", "")
        if is_long or (length.isdecimal() and int(length) > limits.max_bytes):
            status, most = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, limits.max_bytes
            if is_long:
                status, most = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, MAX_HEAD_BYTES
            response = problem_response(status, too_large(most))
            await response(scope, receive, send)
            return
        received = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + limits.limit_s

        async def limited() -> Message:
            nonlocal received, complete
            try:
                async with asyncio.timeout_at(None if complete else deadline):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from error
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > limits.max_bytes:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, limited, send)


def too_large(max_bytes: int) -> str:
    """Return the sentence that says how much can be sent."""
    size = f"{max_bytes // 2**20} MB" if max_bytes >= 2**20 else f"{max_bytes // 2**10} kB"
    return f"That is too large: at most {size} can be sent."
