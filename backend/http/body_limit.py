"""Refuse request bodies that are too large or too slow, with a problem.

Starlette's `max_body_size` was rejected: it answers in plain text.
"""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.http.problems import problem_response


class BodyLimit:
    """Answer 413 to a body over `max_bytes`, 408 to one that takes longer than `limit_s`."""

    def __init__(self, app: ASGIApp, max_bytes: int, limit_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._limit_s = limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            response = problem_response(status, f"The body may have {self._max_bytes} bytes.")
            await response(scope, receive, send)
            return
        received = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + self._limit_s

        async def limited() -> Message:
            nonlocal received, complete
            try:
                async with asyncio.timeout_at(None if complete else deadline):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from error
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, limited, send)
