"""The HTTP client of a provider: asks again when that can help, and never past the deadline.

Decision: retries live here and nowhere else. The providers' own libraries would each retry by their
own rules, two of them without a limit on the whole and one without reading Retry-After; they are
told not to. Retrying is done around `send`, not in a transport, because only there the body has
been read, so a connection that breaks half-way through an answer is retried too, and because a
client with a transport of its own would pass by the proxy of the house.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import structlog

from backend.agents.models.library import deadline

log = structlog.get_logger(__name__)

DEFAULT_RETRIES = 2
CONNECT_LIMIT_S = 5.0
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses that may pass by themselves; 529 is Anthropic's word for overloaded."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait between requests.

    Parameters
    ----------
    pause_s : float
        Before the first retry, doubled for each further one; half of it is left to chance, or six
        slots that were refused together would come back together.
    sleep : callable
        Waits; tests hand in their own.
    """

    pause_s: float = 0.5
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def before_retry(self, retries: int, asked_s: float | None) -> float:
        """Return the seconds to wait after `retries` retries; never less than was asked for."""
        pause_s = self.pause_s * float(2**retries)
        jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads load, protects nothing
        return pause_s * jitter if asked_s is None else asked_s + pause_s * (jitter - 0.5)


class PatientClient(httpx2.AsyncClient):
    """An HTTP client that asks again, at most `retries` times, after failures that may pass.

    It follows no redirect: a header that holds a key could go along to somewhere else.
    """

    def __init__(
        self,
        provider: str,
        *,
        timeout_s: float,
        patience: Patience,
        retries: int = DEFAULT_RETRIES,
    ) -> None:
        connect_s = min(CONNECT_LIMIT_S, timeout_s)
        # Waiting for a connection of the pool counts as part of the call, which has its own limit;
        # and four times five seconds would be taken for a default that nobody chose.
        timeout = httpx2.Timeout(timeout_s, connect=connect_s, pool=None)
        super().__init__(timeout=timeout, follow_redirects=False)
        self._provider = provider
        self._patience = patience
        self._retries = retries

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send `request`, again if need be; return the last response or raise the last error."""
        # One library sets a limit of twenty minutes on every request, for connecting too.
        request.extensions["timeout"] = self.timeout.as_dict()
        retries = 0
        while True:
            response: httpx2.Response | None = None
            try:
                response = await super().send(request, **options)
            except httpx2.TransportError as error:
                pause_s = self._pause_s(retries, None)
                if pause_s is None:
                    raise
                reason = type(error).__name__
            else:
                if response.status_code not in RETRIED or _is_final(response):
                    return response
                pause_s = self._pause_s(retries, asked_pause_s(response))
                if pause_s is None:
                    return response
                reason = f"HTTP {response.status_code}"
                await response.aclose()
            log.info(
                "asking again", provider=self._provider, reason=reason, pause_s=round(pause_s, 2)
            )
            await self._patience.sleep(pause_s)
            retries += 1

    def _pause_s(self, retries: int, asked_s: float | None) -> float | None:
        """Return how long to wait; None if no retry is left or its time would be up."""
        if retries >= self._retries:
            return None
        pause_s = self._patience.before_retry(retries, asked_s)
        left_s = deadline.get(float("inf")) - asyncio.get_running_loop().time()
        return pause_s if pause_s < left_s else None


def asked_pause_s(response: httpx2.Response) -> float | None:
    """Return the seconds a provider asks to wait; None if it does not say.

    In `Retry-After` as seconds or a date (RFC 9110), in OpenAI's and Anthropic's `retry-after-ms`,
    or in the body, where Google puts it (`google.rpc.RetryInfo`).
    """
    after, after_ms = (response.headers.get(name) for name in ("retry-after", "retry-after-ms"))
    if (milliseconds := _number(after_ms)) is not None:
        return milliseconds / 1000
    if (seconds := _number(after)) is not None:
        return seconds
    if after:
        try:
            at = parsedate_to_datetime(after)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    return _google_pause_s(response)


def _google_pause_s(response: httpx2.Response) -> float | None:
    try:
        details = response.json()["error"]["details"]
        delays = [detail["retryDelay"] for detail in details if "retryDelay" in detail]
    except (httpx2.StreamError, ValueError, TypeError, LookupError):
        return None
    return _number(str(delays[0]).removesuffix("s")) if delays else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _is_final(response: httpx2.Response) -> bool:
    """Whether the provider says itself that asking again is no use."""
    return bool(response.headers.get("x-should-retry") == "false")
