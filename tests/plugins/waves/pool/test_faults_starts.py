"""Workers that cannot be started."""

from functools import partial
from multiprocessing import context
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from plugins.waves.pool import lane
from tests.patience import until
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.pool.pools import Asked, running

pytestmark = pytest.mark.faults


@pytest.mark.e2e
def test_five_deaths_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F13: a worker killed in five starts is started with growing pauses; meanwhile: degraded."""
    monkeypatch.setattr(lane, "FIRST_BACK_OFF_S", 0.01)
    states: list[str] = []
    job = Asked("a.wav", "echo", "at last")

    with (
        capture_logs() as logs,
        running(
            lanes=1,
            warm_up=partial(jobs.start_at_the_sixth_time, str(tmp_path)),
            on_state=lambda state, reason: states.append(state),
        ) as pool,
    ):
        pool.submit(job)

        assert job.value() == "at last"
    warnings = [entry for entry in logs if entry["event"] == "a worker could not start"]
    assert [entry["next_try_s"] for entry in warnings] == [0.01, 0.02, 0.04, 0.08, 0.16]
    assert {entry["problem"] for entry in warnings} == {"killed by SIGKILL"}
    assert states == ["warming", "degraded", "ok"]


@pytest.mark.parametrize("error", [RuntimeError("no more threads"), OSError(24, "EMFILE")])
def test_a_worker_that_cannot_even_be_made(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """F13: whatever stops a worker from being made, the lane pauses; meanwhile: degraded."""
    monkeypatch.setattr(lane, "FIRST_BACK_OFF_S", 0.01)
    start, failures = context.SpawnProcess.start, [error] * 3
    states: list[str] = []
    job = Asked("a.wav", "echo", "at last")

    def fail_three_times(self: context.SpawnProcess) -> None:
        if failures:
            raise failures.pop()
        start(self)

    monkeypatch.setattr(context.SpawnProcess, "start", fail_three_times)

    with (
        capture_logs() as logs,
        running(lanes=1, on_state=lambda state, reason: states.append(state)) as pool,
    ):
        pool.submit(job)

        assert job.value() == "at last"
    told = [entry for entry in logs if entry["log_level"] in {"warning", "error"}]
    assert [entry["next_try_s"] for entry in told] == [0.01, 0.02, 0.04]
    assert all(error.args[-1] in entry["problem"] for entry in told)
    assert states == ["warming", "degraded", "ok"]


def test_a_cause_that_does_not_pass_ends_the_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """F13: after three starts that failed alike, jobs are refused with the cause.

    The lanes go on trying: jobs are done again once a worker can be started.
    """
    monkeypatch.setattr(lane, "FIRST_BACK_OFF_S", 0.01)
    broken = tmp_path / "broken"
    broken.touch()
    states: list[tuple[str, str]] = []
    waiting, later, last = (Asked(name, "echo", name) for name in ("a.wav", "b.wav", "c.wav"))

    with running(
        lanes=2,
        warm_up=partial(jobs.refuse_to_start_while, str(broken)),
        on_state=lambda state, reason: states.append((state, reason)),
    ) as pool:
        pool.submit(waiting)
        outcome = waiting.outcome()
        room = pool.has_room_for_backfill
        assert not pool.submit(later)
        broken.unlink()
        until(lambda: states[-1][0] == "ok", "both workers have started")
        assert pool.submit(last)
        assert "c.wav" == last.value()

    refused = ("no_worker", "no worker can be started: broken")
    assert refused == (outcome.reason, outcome.message)
    assert refused == (later.outcome().reason, later.outcome().message)
    assert not room
    assert ("degraded", "no worker can be started: broken") in states
