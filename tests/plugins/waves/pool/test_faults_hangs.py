"""Workers that hang, are frozen or take far too long."""

import os
import signal
import time
from time import monotonic

import pytest

from plugins.waves.pool import load
from plugins.waves.pool import pool as pool_module
from plugins.waves.process import worker_process as process
from tests.patience import LIMIT_S, SOON_S, until
from tests.plugins.waves.pool.pools import (
    Asked,
    GateMaker,
    all_ready,
    running,
    wait_until_gone,
)

pytestmark = pytest.mark.faults


class Watched(Asked):
    """A job that knows when it began."""

    began_at = 0.0

    def begin(self, queued_ms: float) -> object:
        self.began_at = monotonic()
        return super().begin(queued_ms)


@pytest.mark.e2e
@pytest.mark.usefixtures("time_for_echoes")
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(("hold_the_gil", "60"), id="F08"),
        pytest.param(("ignore_sigterm",), id="F09-deaf"),
        pytest.param(("spin",), id="F09-busy"),
        pytest.param(("stop_self",), id="F09-stopped"),
    ],
)
def test_a_hung_worker_is_killed_at_its_deadline(
    monkeypatch: pytest.MonkeyPatch, payload: tuple[str, ...]
) -> None:
    """F08 F09: a hang ends half a second after its deadline at most, and is not tried again."""
    job, following = Watched("bad.wav", *payload), Asked("good.wav", "echo", "on")
    killed_at: list[float] = []
    discard = process.Worker.discard

    def note_and_discard(worker: process.Worker) -> None:
        killed_at.append(monotonic())
        discard(worker)

    monkeypatch.setattr(process.Worker, "discard", note_and_discard)
    starting = monotonic()
    with running(lanes=1, timeout_s=1.0) as pool:
        (hung,) = all_ready(pool, 1)
        start_s = monotonic() - starting
        pool.submit(job)
        pool.submit(following)
        outcome = job.outcome()

        assert (outcome.reason, outcome.attempts) == ("timeout", 1)
        assert outcome.running_ms >= 1000
        late_s = killed_at[0] - job.began_at - 1.0
        assert 0 <= late_s <= max(0.5, start_s), "on a busy machine a start takes long, too"
        assert wait_until_gone(hung, SOON_S), "what was killed may take a while to end"
        assert following.value() == "on"


@pytest.mark.e2e
@pytest.mark.usefixtures("time_for_echoes")
def test_both_lanes_hung() -> None:
    """F10: with every lane hung, the waiting jobs are all done after one deadline."""
    hung = [Asked(f"hung-{n}.wav", "hold_the_gil", "60") for n in range(2)]
    waiting = [Asked(f"{n}.wav", "echo", str(n)) for n in range(20)]

    with running(lanes=2, timeout_s=1.0) as pool:
        all_ready(pool, 2)
        for job in (*hung, *waiting):
            assert pool.submit(job)

        assert [job.outcome().reason for job in hung] == ["timeout"] * 2
        assert [job.value() for job in waiting] == [str(n) for n in range(20)]


@pytest.mark.e2e
def test_frozen_workers_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both workers frozen the state names who waits and who was refused, then is ok again."""
    monkeypatch.setattr(pool_module, "UPDATE_EVERY_S", 0.05)
    monkeypatch.setattr(load, "REFUSALS_COUNT_S", 6)
    states: list[tuple[str, str]] = []
    several = [Asked(f"{n}.wav", "sleep", "0.01") for n in range(240)]

    with running(lanes=2, queue_max_size=128, on_state=lambda *state: states.append(state)) as pool:
        frozen = all_ready(pool, 2)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        for job in several:
            pool.submit(job)
        words = "128 wait, the queue is full; 110 were refused in the last minute"
        until(lambda: states[-1] == ("degraded", words), "it is told")
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        for job in several:
            job.outcome()
        until(lambda: states[-1] == ("ok", ""), "it is well again")


def test_a_job_that_takes_far_longer_than_usual_is_told_of(
    gate: GateMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen worker is told of when its job takes a hundred times the usual, then forgotten."""
    monkeypatch.setattr(pool_module, "UPDATE_EVERY_S", 0.05)
    monkeypatch.setattr(load, "MIN_SLOW_S", 0.5)
    monkeypatch.setattr(load, "SLOW_FACTOR", 1)
    states: list[tuple[str, str]] = []
    told, door = gate("told"), gate("door")
    quick = [Asked(f"{n}.wav", "echo", "x") for n in range(5)]
    slow = Asked("slow.wav", "tell_and", told.path, "pass_gate", door.path)

    with running(lanes=1, on_state=lambda *state: states.append(state)) as pool:
        for job in quick:
            pool.submit(job)
            job.value()
        pool.submit(slow)
        told.line()
        until(lambda: states[-1][0] == "degraded", "it is told")
        door.open()
        slow.value()
        until(lambda: states[-1] == ("ok", ""), "it is well again")

    assert any("1 of 1 workers take more than" in reason for _, reason in states)


def test_the_usual_time_follows_the_size() -> None:
    """A file ten times as long may take ten times as long; nothing short of ten seconds is slow."""
    known = load.Load()
    nothing_known = known.slow_s(1000)
    for seconds in (0.2, 0.3, 0.4):
        known.finish(seconds, 1000)

    assert nothing_known == load.UNKNOWN_SLOW_S
    assert known.slow_s(10_000) == pytest.approx(300)
    assert known.slow_s(0) == pytest.approx(30)
    assert known.slow_s(10) == load.MIN_SLOW_S


@pytest.mark.e2e
@pytest.mark.parametrize("jump_s", [3600.0, -3600.0], ids=["forward", "back"])
def test_the_clock_is_set_during_a_job(
    gate: GateMaker, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """F18: an hour's jump of the wall clock is neither a timeout nor a negative duration."""
    told, door = gate("told"), gate("door")
    job = Asked("a.wav", "tell_and", told.path, "pass_gate", door.path)
    clock = time.time

    with running(lanes=1) as pool:
        pool.submit(job)
        told.line()
        monkeypatch.setattr(time, "time", lambda: clock() + jump_s)
        assert not job.ended.wait(0.5)
        door.open()

        assert job.value() == "go"
        assert 0 <= job.outcomes[0].running_ms < LIMIT_S * 1000 < abs(jump_s) * 1000


@pytest.mark.e2e
def test_a_hang_ends_though_the_clock_went_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """F18: a wall clock set back an hour does not give a hang an hour more."""
    job = Asked("a.wav", "ignore_sigterm")
    clock = time.time

    with running(lanes=1, timeout_s=1) as pool:
        pool.submit(job)
        assert job.begun.wait(LIMIT_S)
        time.sleep(0.2)  # a moment later its limit runs
        monkeypatch.setattr(time, "time", lambda: clock() - 3600)

        assert job.outcome().reason == "timeout"
