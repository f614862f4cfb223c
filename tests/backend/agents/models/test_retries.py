"""When a request is sent again, and after how long."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from backend.agents.models.library import deadline
from backend.agents.models.retries import Patience, PatientClient, asked_pause_s
from tests.backend.agents.stub import KEY, Mode, Stub
from tests.patience import SOON_S


def response(body: object = None, **headers: str) -> httpx2.Response:
    """Return a refusal with headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(429, headers=named, json=body or {})


def google(delay: object) -> object:
    """Return a body as Google words it."""
    return {"error": {"details": [{"@type": "other"}, {"retryDelay": delay}]}}


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (response(), None),
        (response(retry_after="7"), 7.0),
        (response(retry_after="0"), 0.0),
        (response(retry_after_ms="250", retry_after="7"), 0.25),
        (response(retry_after="soon"), None),
        (response(retry_after="-1"), None),
        (response(retry_after="inf"), None),
        (response(retry_after="nan"), None),
        (response(google("14s")), 14.0),
        (response(google("0.5s")), 0.5),
        (response(google(None)), None),
        (response({"error": "text"}), None),
        (response({"error": {"details": [5]}}), None),
        (response([1]), None),
    ],
)
def test_the_pause_a_provider_asks_for_is_read(
    refusal: httpx2.Response, expected: float | None
) -> None:
    """Seconds, milliseconds and Google's body are understood; anything else asks for nothing."""
    assert expected == asked_pause_s(refusal)


def test_a_date_to_wait_for_is_read() -> None:
    """A date ahead is the seconds until then, one in the past is no wait."""
    before = datetime.now(UTC)
    ahead, past = (before + timedelta(hours=hours) for hours in (1, -1))

    asked = asked_pause_s(response(retry_after=format_datetime(ahead, usegmt=True)))

    least = (ahead - datetime.now(UTC)).total_seconds() - 1  # a header has whole seconds
    assert asked is not None
    assert least <= asked <= 3600
    assert 0 == asked_pause_s(response(retry_after=format_datetime(past, usegmt=True)))


def test_pauses_grow_and_differ() -> None:
    """A pause is doubled, left to chance by half, and never shorter than was asked for."""
    patience = Patience(pause_s=1)

    drawn = {
        retries: {patience.before_retry(retries, None) for _ in range(50)} for retries in (0, 1)
    }
    asked = {patience.before_retry(0, 7.0) for _ in range(50)}

    assert all(0.5 <= pause_s <= 1 for pause_s in drawn[0])
    assert all(1 <= pause_s <= 2 for pause_s in drawn[1])
    assert all(7 <= pause_s <= 7.5 for pause_s in asked)
    assert min(map(len, (drawn[0], drawn[1], asked))) > 10


async def send(mode: Mode, left_s: float) -> tuple[int, list[float], Stub]:
    """Send one request to a stub in `mode` with `left_s` to go; return what came of it."""
    pauses: list[float] = []

    async def note(pause_s: float) -> None:
        pauses.append(pause_s)

    patience = Patience(pause_s=2, sleep=note)
    with Stub() as stub:
        stub.modes["m"] = mode
        deadline.set(asyncio.get_running_loop().time() + left_s)
        async with PatientClient("openai", timeout_s=5, patience=patience) as client:
            answer = await client.post(
                stub.url("/openai/v1/chat/completions"),
                json={"model": "m", "messages": ["x"]},
                headers={"authorization": f"Bearer {KEY}"},
            )
    return answer.status_code, pauses, stub


async def test_a_failure_that_may_pass_is_tried_three_times() -> None:
    """Two retries, no more; the last answer is the one that counts."""
    status, pauses, stub = await send("500 always", 60)

    assert (500, 2, 3) == (status, len(pauses), len(stub.calls))


async def test_no_retry_is_begun_after_the_deadline() -> None:
    """With less time left than the shortest pause the first answer is returned at once."""
    status, pauses, stub = await send("500 always", 0.9)

    assert (500, 0, 1) == (status, len(pauses), len(stub.calls))


async def test_a_redirect_is_not_followed() -> None:
    """A key is not carried to where an answer points."""
    status, _, stub = await send("redirect", 60)

    assert (307, 1) == (status, len(stub.calls))


async def test_a_provider_that_says_no_is_not_asked_again() -> None:
    """`x-should-retry: false` ends it, whatever the status."""
    status, pauses, stub = await send("500 final", 60)

    assert (500, [], 1) == (status, pauses, len(stub.calls))


@pytest.mark.e2e
async def test_a_limit_that_a_library_sets_is_not_kept() -> None:
    """A request ends at the client's own limit, whatever the library that sends it wants."""
    patience = Patience(sleep=asyncio.sleep, pause_s=0)
    with Stub() as stub:
        stub.modes["m"] = "slow"
        async with PatientClient("openai", timeout_s=1, patience=patience) as client:
            with pytest.raises(httpx2.ReadTimeout):
                await asyncio.wait_for(
                    client.post(
                        stub.url("/openai/v1/chat/completions"),
                        json={"model": "m", "messages": ["x"]},
                        headers={"authorization": f"Bearer {KEY}"},
                        timeout=1200,
                    ),
                    SOON_S,
                )
