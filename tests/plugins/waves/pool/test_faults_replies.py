"""Replies that are incomplete, unreadable or too many."""

import pytest

from tests.patience import SOON_S
from tests.plugins.waves.pool.pools import Asked, all_ready, running, wait_until_gone

pytestmark = pytest.mark.faults


@pytest.mark.e2e
@pytest.mark.usefixtures("short_pauses")
def test_a_worker_that_dies_in_its_reply() -> None:
    """F11: half a reply fails its job alone; no later job gets the rest of it."""
    job, following = Asked("bad.wav", "die_in_the_reply"), Asked("good.wav", "echo", "mine")

    with running(lanes=1) as pool:
        pool.submit(job)
        pool.submit(following)

        assert (job.outcome().reason, job.outcome().attempts) == ("killed", 7)
        assert following.value() == "mine"


@pytest.mark.e2e
def test_a_reply_that_cannot_be_unpickled() -> None:
    """F11: a reply that cannot be read fails its job, and its lane is rebuilt."""
    job, following = Asked("bad.wav", "write_garbage_as_reply"), Asked("good.wav", "echo", "mine")

    with running(lanes=1) as pool:
        (before,) = all_ready(pool, 1)
        pool.submit(job)
        pool.submit(following)

        assert job.outcome().reason == "crashed"
        assert "its reply could not be read" in job.outcome().message
        assert following.value() == "mine"
        assert wait_until_gone(before, SOON_S)


@pytest.mark.e2e
@pytest.mark.usefixtures("time_for_echoes")
def test_a_reply_that_stops_half_way() -> None:
    """F11: a worker that hangs in its reply is killed at the deadline like any other."""
    job, following = Asked("bad.wav", "hang_in_the_reply"), Asked("good.wav", "echo", "mine")

    with running(lanes=1, timeout_s=8) as pool:  # enough for half of the reply
        all_ready(pool, 1)
        pool.submit(job)
        pool.submit(following)

        assert job.outcome().reason == "crashed"
        assert following.value() == "mine"


@pytest.mark.e2e
def test_a_reply_is_credited_to_its_own_job_only() -> None:
    """F11: a worker that sends a reply too many is replaced; no job gets another's result."""
    job, following = Asked("bad.wav", "reply_twice"), Asked("good.wav", "echo", "mine")

    with running(lanes=1) as pool:
        (before,) = all_ready(pool, 1)
        pool.submit(job)
        pool.submit(following)

        assert job.outcome().reason == "crashed"
        assert following.value() == "mine"
        assert wait_until_gone(before, SOON_S)
