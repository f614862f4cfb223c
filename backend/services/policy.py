"""Repeats a request that failed for a passing reason, within a number of retries and a deadline."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger(__name__)

RETRIED_STATUSES: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses of passing failures; with 529 Anthropic says that it is overloaded."""


class RetryableError(Exception):
    """A request failed for a reason that may pass; the message names it."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        """The pause that the service asked for, if it named one."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is repeated, and after which pauses."""

    retries: int = 2
    pause_s: float = 0.5
    """Pause before the first retry; it doubles with each further one."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, ask: Callable[[], Awaitable[T]], *, service: str, ends_at: float) -> T:
        """Return the result of `ask`, called again after a `RetryableError` until `ends_at`.

        `ends_at` is a time of the event loop's clock. The last `RetryableError` is raised.
        """
        for retry in range(self.retries):
            try:
                return await ask()
            except RetryableError as error:
                pause_s = self.draw_pause_s(retry, error.retry_after_s)
                if pause_s >= ends_at - asyncio.get_running_loop().time():
                    raise
                reason = str(error)
            log.info(
                "request is retried", service=service, reason=reason, pause_s=round(pause_s, 2)
            )
            await self.sleep(pause_s)
        return await ask()

    def draw_pause_s(self, retry: int, asked_s: float | None = None) -> float:
        """Return the seconds before a retry, counted from 0: never fewer than were asked for.

        A part is random, so that requests refused together are not repeated together.
        """
        pause_s = self.pause_s * float(2**retry)
        jitter = random.uniform(0.5, 1)  # noqa: S311 - spreads load, protects nothing
        return pause_s * jitter if asked_s is None else asked_s + pause_s * (jitter - 0.5)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that a response's headers ask for; None if they name none.

    `Retry-After` holds seconds or a date (RFC 9110); OpenAI and Anthropic send `retry-after-ms`.
    """
    if (milliseconds := parse_seconds(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    after = headers.get("retry-after", "")
    if (seconds := parse_seconds(after)) is not None or not after:
        return seconds
    try:
        at = parsedate_to_datetime(after)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def parse_seconds(text: str | None) -> float | None:
    """Return the finite number in `text` that is not negative; None if it holds none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
