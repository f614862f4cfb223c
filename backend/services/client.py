"""Sends requests to a service over HTTP, for any thread.

One request has one deadline, which covers waiting for a free place, rate limits and retries.
Passing failures (a broken connection, an overloaded server, half an answer) are retried; a wrong
key or an unknown model is not. Requests run on an event loop with its own thread: a task can be
cancelled at any await, a thread that waits for a socket cannot.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from backend.errors import ReflectiveResonanceError
from backend.services.policy import RETRIED_STATUSES, RetryableError, RetryPolicy, retry_after_s
from backend.services.service import Request, Service, refusal_code
from backend.services.surroundings import named_surroundings

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

RETRY_POLICY: Final = RetryPolicy(pause_s=0.6)
_MAX_REFUSAL_BYTES = 64_000
_CONNECT_TIMEOUT_S = 5.0
_CHECK_TIMEOUT_S = 5.0
_CLOSE_LIMIT_S = 2.0
_KEY_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class ServiceClient:
    """The client of one service; every failure is raised as `error`, without text or key.

    `timeout_s` covers all waiting of one request; more than `max_requests` at once wait.
    """

    error: ClassVar[type[ReflectiveResonanceError]]
    max_bytes: ClassVar[int]
    """Length of the longest answer that is read."""
    model_setting: str
    """What to look at when the service does not know a model."""

    def __init__(
        self,
        service: Service,
        *,
        timeout_s: float,
        max_requests: int = 2,
        policy: RetryPolicy = RETRY_POLICY,
    ) -> None:
        import httpx2  # here, since the room is imported where no service is asked

        self.service = service
        self._timeout_s = timeout_s
        self._policy = policy
        self._places = asyncio.Semaphore(max_requests)
        with named_surroundings():
            self._client = httpx2.AsyncClient(
                base_url=service.url,
                headers={**service.headers, "accept-encoding": "identity"},
                timeout=httpx2.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            )
        self._resume_at = 0.0
        self._lock = threading.Lock()
        self._closed = False
        self._exits = ExitStack()
        self._portal: BlockingPortal | None = None
        self._running: set[Future[Any]] = set()

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    def request(self, request: Request, read: Callable[[bytes], T]) -> T:
        """Return what `read` makes of the answer; what it raises is prefixed with the name.

        `read` may raise `error`, or RetryableError if another answer may be better.
        """
        return self._run(partial(self._request, request, read))

    def check(self) -> str:
        """Ask for what costs nothing, once; return the result or raise `error`."""
        return self._run(self._check)

    def close(self) -> None:
        """Cancel the requests under way, and wait a moment for that; later ones are refused."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for future in running:
            future.cancel()
        # A thread of its own: the loop ends only after a lookup of a host name that still runs.
        ending = threading.Thread(target=self._exits.close, daemon=True)
        ending.start()
        ending.join(_CLOSE_LIMIT_S)

    def _run(self, function: Callable[[], Awaitable[T]]) -> T:
        """Wait for `function` on the event loop, which starts with the first request."""
        try:
            with self._lock:
                if self._closed:
                    raise CancelledError
                if self._portal is None:
                    portal = start_blocking_portal(name=f"requests to {self.name}")
                    self._portal = self._exits.enter_context(portal)
                    self._exits.callback(self._portal.call, self._client.aclose)
                future = self._portal.start_task_soon(function)
                self._running.add(future)
                future.add_done_callback(self._running.discard)
            return future.result()
        except CancelledError:
            raise self.error(f"{self.name} was stopped with the installation") from None

    async def _request(self, request: Request, read: Callable[[bytes], T]) -> T:
        """Return the answer, requested again while that may help and there is time."""
        ends_at = asyncio.get_running_loop().time() + self._timeout_s
        ask = partial(self._ask, request, read, ends_at)
        try:
            async with asyncio.timeout_at(ends_at), self._places:
                return await self._policy.run(ask, service=self.name, ends_at=ends_at)
        except TimeoutError:
            raise self.error(f"{self.name} gave no answer within {self._timeout_s:g} s") from None
        except RetryableError as error:
            raise self.error(str(error)) from None

    async def _wait_for_rate_limit(self, ends_at: float) -> None:
        left_s = self._resume_at - asyncio.get_running_loop().time()
        if left_s > 0 and self._resume_at >= ends_at:
            raise self.error(
                f"{self.name} asked to wait another {left_s:.1f} s, longer than the request may"
            )
        await asyncio.sleep(left_s)

    async def _ask(self, request: Request, read: Callable[[bytes], T], ends_at: float) -> T:
        """Send one request and return what `read` makes of the answer."""
        await self._wait_for_rate_limit(ends_at)
        params = dict(request.params)
        async with self._stream("POST", request.path, params=params, **request.body) as response:
            if response.status_code != HTTPStatus.OK:
                raise await self._refusal(response)
            coding = response.headers.get("content-encoding", "identity")
            if coding != "identity":  # not asked for, and may be a thousand times as long
                raise self.error(f"{self.name} sent a compressed answer, which was not asked for")
            body = await _read(response, self.max_bytes)
        if body is None:
            raise self.error(f"{self.name} sent more than {self.max_bytes} bytes")
        try:
            return read(body)
        except (RetryableError, self.error) as error:
            raise type(error)(f"{self.name}: {error}") from None

    async def _refusal(
        self, response: "httpx2.Response"
    ) -> ReflectiveResonanceError | RetryableError:
        """Return the error for a refusal; its message holds neither text nor key."""
        status = response.status_code
        code = refusal_code(await _read(response, _MAX_REFUSAL_BYTES))
        reason = f"{self.name} answered {status}" + (f" ({code})" if code else "")
        if status in _KEY_REFUSED:
            reason += f": look at the key {self.service.key_variable} in .env and at the account"
        elif status == HTTPStatus.NOT_FOUND:
            reason += f": look at {self.model_setting}, and at the address"
        if status not in RETRIED_STATUSES or code in {"insufficient_quota", "quota_exceeded"}:
            return self.error(reason)
        asked_s = retry_after_s(response.headers)
        if asked_s is not None:  # the limit is the account's: all requests wait
            resume_at = asyncio.get_running_loop().time() + asked_s
            self._resume_at = max(self._resume_at, resume_at)
        return RetryableError(reason, asked_s)

    async def _check(self) -> str:
        try:
            async with (
                asyncio.timeout(_CHECK_TIMEOUT_S),
                self._stream("GET", self.service.check_path) as response,
            ):
                if response.status_code in _KEY_REFUSED:
                    raise self.error(str(await self._refusal(response)))
                return f"reachable (status {response.status_code})"
        except TimeoutError:
            raise self.error(f"{self.name} did not answer in {_CHECK_TIMEOUT_S:g} s") from None
        except RetryableError as error:
            raise self.error(str(error)) from None

    @asynccontextmanager
    async def _stream(
        self, method: str, path: str, **options: Any
    ) -> AsyncIterator["httpx2.Response"]:
        """Send a request; raise RetryableError if the connection fails."""
        import httpx2

        # An error of httpx2 may hold a header's value, and so the key: it is not chained.
        try:
            async with self._client.stream(method, path, **options) as response:
                yield response
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise RetryableError(
                f"{self.name} cannot be reached: look at the network and the address"
            ) from None
        except (httpx2.HTTPError, OSError) as error:
            raise RetryableError(
                f"{self.name} broke the connection off ({type(error).__name__})"
            ) from None


async def _read(response: "httpx2.Response", max_bytes: int) -> bytes | None:
    """Return the body; None if it is longer than `max_bytes`."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > max_bytes:
            return None
    return bytes(body)
