"""The HTTP client of a model provider, which repeats failed requests within the call's deadline.

The providers' own libraries are told not to retry: each has rules of its own, two without a limit
on the whole and one without reading Retry-After. Retries wrap `send` and not a transport: there the
body has been read, so a connection that breaks within an answer is retried too, and a client with a
transport of its own would ignore the proxy settings.
"""

from typing import Any

import httpx2

from backend.agents.models.candidates import deadline
from backend.services import (
    RETRIED_STATUSES,
    RetryableError,
    RetryPolicy,
    parse_seconds,
    retry_after_s,
)

CONNECT_LIMIT_S = 5.0


class _RefusedError(RetryableError):
    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(f"HTTP {response.status_code}", requested_pause_s(response))
        self.response = response


class RetryingClient(httpx2.AsyncClient):
    """An HTTP client that retries by `policy`.

    It follows no redirect: a header that holds a key could go along to another host.
    """

    def __init__(self, provider: str, *, timeout_s: float, policy: RetryPolicy) -> None:
        connect_s = min(CONNECT_LIMIT_S, timeout_s)
        # Waiting for a connection of the pool counts as part of the call, which has its own limit;
        # and four times five seconds would be taken for a default that nobody chose.
        timeout = httpx2.Timeout(timeout_s, connect=connect_s, pool=None)
        super().__init__(timeout=timeout, follow_redirects=False)
        self._provider = provider
        self._policy = policy

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send `request` with retries; return the last response or raise the last error."""
        # One library sets a limit of twenty minutes on every request, for connecting too.
        request.extensions["timeout"] = self.timeout.as_dict()
        send = super().send

        async def ask() -> httpx2.Response:
            try:
                response = await send(request, **options)
            except httpx2.TransportError as error:
                raise RetryableError(type(error).__name__) from error
            is_final = response.headers.get("x-should-retry") == "false"
            if response.status_code in RETRIED_STATUSES and not is_final:
                await response.aread()
                raise _RefusedError(response)
            return response

        ends_at = deadline.get(float("inf"))
        try:
            return await self._policy.run(ask, service=self._provider, ends_at=ends_at)
        except _RefusedError as refused:
            return refused.response
        except RetryableError as error:
            failure = error.__cause__ or error
        raise failure


def requested_pause_s(response: httpx2.Response) -> float | None:
    """Return the seconds a provider asks to wait; Google says so in the body (RetryInfo)."""
    if (seconds := retry_after_s(response.headers)) is not None:
        return seconds
    try:
        details = response.json()["error"]["details"]
        delays = [detail["retryDelay"] for detail in details if "retryDelay" in detail]
    except (ValueError, TypeError, LookupError):
        return None
    return parse_seconds(str(delays[0]).removesuffix("s")) if delays else None
