"""How often a failed request is repeated, after which pauses, and what a service asks for."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from structlog.testing import capture_logs

from backend.services import RetryableError, RetryPolicy, retry_after_s


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_the_pause_that_headers_ask_for(headers: dict[str, str], expected: float | None) -> None:
    """Seconds, milliseconds and a date in the past are read; anything else asks for nothing."""
    assert expected == retry_after_s(headers)


def test_a_date_ahead_is_the_seconds_until_then() -> None:
    """Retry-After may be a date, in whole seconds."""
    before = datetime.now(UTC)
    then = before.replace(microsecond=0) + timedelta(hours=1)

    asked = retry_after_s({"retry-after": format_datetime(then, usegmt=True)}) or 0

    assert (then - datetime.now(UTC)).total_seconds() <= asked <= (then - before).total_seconds()


def test_pauses_grow_and_differ() -> None:
    """A pause is doubled, half of it is random, and it is never shorter than was asked for."""
    policy = RetryPolicy(pause_s=1)

    drawn = {retry: {policy.draw_pause_s(retry) for _ in range(50)} for retry in (0, 1)}
    asked = {policy.draw_pause_s(0, 7.0) for _ in range(50)}

    assert all(0.5 <= pause_s <= 1 for pause_s in drawn[0])
    assert all(1 <= pause_s <= 2 for pause_s in drawn[1])
    assert all(7 <= pause_s <= 7.5 for pause_s in asked)
    assert min(map(len, (drawn[0], drawn[1], asked))) > 10


@pytest.mark.parametrize(
    ("retries", "left_s", "attempts"), [(0, 60, 1), (2, 60, 3), (5, 60, 6), (5, 0.4, 1)]
)
async def test_attempts(retries: int, left_s: float, attempts: int) -> None:
    """A request is repeated `retries` times, unless a pause would end after the deadline."""
    pauses: list[float] = []
    asked: list[int] = []

    async def note(pause_s: float) -> None:
        pauses.append(pause_s)

    async def ask() -> None:
        asked.append(1)
        raise RetryableError("HTTP 500")

    policy = RetryPolicy(retries, pause_s=1, sleep=note)
    ends_at = asyncio.get_running_loop().time() + left_s

    with capture_logs() as logs, pytest.raises(RetryableError, match="HTTP 500"):
        await policy.run(ask, service="tides", ends_at=ends_at)

    assert (attempts, attempts - 1) == (len(asked), len(pauses))
    assert [("tides", "HTTP 500")] * (attempts - 1) == [
        (log["service"], log["reason"]) for log in logs
    ]
