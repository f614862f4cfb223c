"""When a request to a model provider is repeated, and after how long."""

import asyncio

import httpx2
import pytest

from backend.agents.models.candidates import deadline
from backend.agents.models.retries import RetryingClient, requested_pause_s
from backend.services import RetryPolicy
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
        (response(retry_after_ms="250", retry_after="7"), 0.25),
        (response(google("14s")), 14.0),
        (response(google("0.5s")), 0.5),
        (response(google("7s"), retry_after="3"), 3.0),
        (response(google(None)), None),
        (response({"error": "text"}), None),
        (response({"error": {"details": [5]}}), None),
        (response([1]), None),
    ],
)
def test_the_pause_a_provider_asks_for_is_read(
    refusal: httpx2.Response, expected: float | None
) -> None:
    """The headers count, then Google's body; anything else asks for nothing."""
    assert expected == requested_pause_s(refusal)


async def send(mode: Mode, left_s: float) -> tuple[int, list[float], Stub]:
    """Send one request to a stub in `mode` with `left_s` to go; return what came of it."""
    pauses: list[float] = []

    async def note(pause_s: float) -> None:
        pauses.append(pause_s)

    policy = RetryPolicy(pause_s=2, sleep=note)
    with Stub() as stub:
        stub.modes["m"] = mode
        deadline.set(asyncio.get_running_loop().time() + left_s)
        async with RetryingClient("openai", timeout_s=5, policy=policy) as client:
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
    policy = RetryPolicy(pause_s=0)
    with Stub() as stub:
        stub.modes["m"] = "slow"
        async with RetryingClient("openai", timeout_s=1, policy=policy) as client:
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
