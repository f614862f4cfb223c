"""Workers that die in a job or between two, and files that crash them."""

import gc
import os
import random
import signal
import threading
from pathlib import Path
from time import monotonic

import pytest
from structlog.testing import capture_logs

from plugins.waves.pool import lane, quarantine
from tests.patience import LIMIT_S, until
from tests.plugins.waves.pool.pools import (
    Asked,
    GateMaker,
    all_ready,
    pids_of_workers,
    running,
)

pytestmark = pytest.mark.faults

E2E = pytest.mark.e2e

ATTEMPTS = {"killed": 7, "crashed": 2, "error": 1}


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(
    ("payload", "reason", "words"),
    [
        pytest.param(("kill",), "killed", "last killed by SIGKILL", id="F01", marks=E2E),
        pytest.param(("segfault",), "crashed", "killed by SIGSEGV", id="F02"),
        pytest.param(("abort",), "crashed", "killed by SIGABRT", id="F03", marks=E2E),
        pytest.param(("exit_hard", "0"), "crashed", "exited with code 0", id="F04", marks=E2E),
        pytest.param(("exit_hard", "1"), "crashed", "exited with code 1", id="F05", marks=E2E),
        pytest.param(("exit_softly",), "error", "SystemExit: 3", id="F06", marks=E2E),
    ],
)
def test_a_worker_that_ends_in_a_job(payload: tuple[str, ...], reason: str, words: str) -> None:
    """F01 F02 F03 F04 F05 F06: the job fails saying how its worker ended; two crashes are enough.

    A worker that was killed from outside is no fault of the job, which is tried seven times; others
    are done in its pauses.
    """
    job, following = Asked("bad.wav", *payload), Asked("good.wav", "pid")

    with running(lanes=2) as pool:
        before = all_ready(pool, 2)
        pool.submit(job)
        outcome = job.outcome()
        pool.submit(following)

        assert (outcome.reason, outcome.attempts) == (reason, ATTEMPTS[reason])
        assert words in outcome.message
        assert following.value() in all_ready(pool, 2)
        assert pool.is_quarantined("bad.wav") is False, "there is no such file"
        if reason != "killed":
            assert len(set(pool.worker_pids) & set(before)) == (1 if reason == "crashed" else 2)


@pytest.mark.usefixtures("time_for_echoes")
@pytest.mark.parametrize(
    ("payload", "timeout_s", "how"),
    [
        (("segfault",), LIMIT_S, "killed by SIGSEGV"),
        (("sleep", "3600"), 1.0, "no answer within 1 s"),
    ],
)
def test_less_is_done_after_a_worker_ended(
    payload: tuple[str, ...], timeout_s: float, how: str
) -> None:
    """The second attempt gets what `reduce` returns, which is told how the first one ended."""
    told: list[object] = []

    def reduce(payload: object, how: str) -> object:
        told.append((payload, how))
        return "echo", "less"

    job = Asked("a.wav", *payload)
    with running(timeout_s=timeout_s, reduce=reduce) as pool:
        pool.submit(job)

        assert "less" == job.value()

    assert [(payload, how)] == told
    assert 2 == job.outcomes[0].attempts


@pytest.mark.e2e
def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    """F01: a job whose worker was killed is tried once more and succeeds."""
    job = Asked("a.wav", "die_once", str(tmp_path / "died"))

    with running(lanes=1) as pool:
        pool.submit(job)

        assert job.value() == "second attempt"
        assert job.outcomes[0].attempts == 2


@pytest.mark.parametrize("wait_for_notice", [False, True], ids=["at once", "noticed"])
def test_an_idle_worker_that_is_killed(
    monkeypatch: pytest.MonkeyPatch, wait_for_notice: bool
) -> None:
    """F07: an idle worker's death loses no job and is one WARNING, whenever it is noticed."""
    monkeypatch.setattr(lane, "IDLE_CHECK_S", 0.05 if wait_for_notice else LIMIT_S)
    states: list[str] = []
    recovered = threading.Event()

    def on_state(state: str, reason: str) -> None:
        states.append(state)
        if states.count("ok") == 2:
            recovered.set()

    with capture_logs() as logs, running(lanes=1, on_state=on_state) as pool:
        (victim,) = all_ready(pool, 1)
        os.kill(victim, signal.SIGKILL)
        if wait_for_notice:
            assert recovered.wait(LIMIT_S)
        several = [Asked(f"{n}.wav", "pid") for n in range(5)]
        for job in several:
            pool.submit(job)

        assert victim not in {job.value() for job in several}
    assert [entry["pid"] for entry in logs if entry["log_level"] == "warning"] == [victim]


@pytest.mark.e2e
def test_more_memory_than_the_limit() -> None:
    """F12: a job that wants too much memory fails with that reason; its worker goes on."""
    job, following = Asked("bad.wav", "run_out_of_memory"), Asked("good.wav", "pid")

    with running(lanes=1, memory_limit_mb=512) as pool:
        (before,) = all_ready(pool, 1)
        pool.submit(job)
        pool.submit(following)

        assert job.outcome().reason == "out_of_memory"
        assert following.value() == before


@pytest.mark.e2e
@pytest.mark.usefixtures("short_pauses")
def test_a_worker_killed_for_its_size() -> None:
    """F12: a worker that the kernel kills at some size costs its job seven attempts, no more."""
    job, following = (
        Asked("bad.wav", "die_at_resident_size", "100"),
        Asked("good.wav", "echo", "on"),
    )

    with running(lanes=1) as pool:
        pool.submit(job)
        pool.submit(following)

        assert (job.outcome().reason, job.outcome().attempts) == ("killed", 7)
        assert following.value() == "on"


@pytest.mark.e2e
@pytest.mark.parametrize(
    "payload",
    [
        ("segfault",),
        pytest.param(("abort",), marks=E2E),
        pytest.param(("exit_hard", "1"), marks=E2E),
    ],
)
def test_a_file_that_crashes_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: tuple[str, ...]
) -> None:
    """F14: it is set aside, which the log and the state say once, until it changes or for a day."""
    path = tmp_path / "crashes.wav"
    path.write_bytes(b"crashes")
    crashed, again = Asked(path, *payload), Asked(path, "echo", "harmless")
    later, changed = Asked(path, "echo", "later"), Asked(path, "echo", "changed")
    states: list[tuple[str, str]] = []

    with (
        capture_logs() as logs,
        running(lanes=1, on_state=lambda *state: states.append(state)) as pool,
    ):
        pool.submit(crashed)
        assert crashed.outcome().reason == "crashed"
        until(lambda: "1 set aside" in states[-1][1], "the state says so")
        pool.submit(again)
        assert again.outcome().reason == "quarantined"
        assert not again.begun.is_set()

        with monkeypatch.context() as tomorrow:
            tomorrow.setattr(quarantine, "monotonic", lambda: monotonic() + quarantine.DAY_S)
            pool.submit(later)
            assert later.value() == "later"
        pool.quarantine(str(path), 1000.0)
        path.write_bytes(b"changed")
        pool.submit(changed)
        assert changed.value() == "changed"
        until(lambda: states[-1] == ("ok", ""), "the state forgets it")

    assert {state for state, _ in states} == {"warming", "ok"}
    (entry,) = (entry for entry in logs if "set aside" in entry["event"])
    assert (entry["log_level"], entry["path"]) == ("warning", str(path))
    assert "it is tried again" in entry["what_to_do"]


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("times", [2, pytest.param(4, marks=E2E)])
def test_a_worker_that_is_killed_from_outside(gate: GateMaker, tmp_path: Path, times: int) -> None:
    """F14: a healthy file whose worker is killed time after time is done, never quarantined."""
    told, door = gate("told"), gate("door")
    path = tmp_path / "healthy.wav"
    path.touch()
    job = Asked(path, "tell_and", told.path, "pass_gate", door.path)

    with capture_logs() as logs, running(lanes=1) as pool:
        pool.submit(job)
        for _ in range(times):
            os.kill(int(told.line()), signal.SIGKILL)
        told.line()
        door.open()

        assert job.value() == "go"
        assert job.outcomes[0].attempts == times + 1
        assert not pool.is_quarantined(str(path))
    pauses = [
        entry["pause_s"] for entry in logs if entry["event"].startswith("a worker was killed")
    ]
    assert pauses == list(lane.KILL_PAUSES_S[:times])


@pytest.mark.e2e
def test_others_are_done_in_the_pauses_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """F14: while a job waits for its next attempt its lane does others; a stop ends it."""
    monkeypatch.setattr(lane, "KILL_PAUSES_S", [LIMIT_S] * 2)
    monkeypatch.setattr(lane, "KILL_LIMIT_S", 2 * LIMIT_S)
    job, following = Asked("bad.wav", "kill"), Asked("good.wav", "echo", "on")

    with running(lanes=1) as pool:
        pool.submit(job)
        pool.submit(following)
        assert following.value() == "on"
        assert pool.queued == 1

    assert job.outcome().reason == "stopped"


@pytest.mark.e2e
def test_attempts_end_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """F14: a job whose worker is killed is not tried again once it has taken too long."""
    monkeypatch.setattr(lane, "KILL_LIMIT_S", 0.0)
    job = Asked("bad.wav", "kill")

    with running(lanes=1) as pool:
        pool.submit(job)

        assert (job.outcome().reason, job.outcome().attempts) == ("killed", 1)


@pytest.mark.faults_slow
def test_a_thousand_jobs_with_three_hundred_kills(tmp_path: Path) -> None:
    """F35: with 30 % of the jobs killed every job is done, by never more than two workers."""
    draws = random.Random(35)
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, len(pids_of_workers(os.getpid())))

    watcher = threading.Thread(target=watch)
    several = [
        Asked(
            f"{n}.wav",
            *(("die_once", str(tmp_path / str(n))) if draws.random() < 0.3 else ("echo", "x")),
        )
        for n in range(1000)
    ]
    killed = sum(job.payload != ("echo", "x") for job in several)

    gc.collect()
    descriptors = open_descriptors()
    with running(lanes=2, queue_max_size=1000) as pool:
        watcher.start()
        for job in several:
            pool.submit(job)
        outcomes = [job.outcome(600) for job in several]
        done.set()
        watcher.join()
    gc.collect()

    assert [outcome.reason for outcome in outcomes] == [""] * 1000
    assert sum(outcome.attempts for outcome in outcomes) == 1000 + killed
    assert open_descriptors() <= descriptors + 2, "the tracker's pipe may be new"
    assert 250 < killed < 350
    assert most == 2


def open_descriptors() -> int:
    """Count what this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
