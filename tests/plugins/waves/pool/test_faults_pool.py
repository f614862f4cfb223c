"""Rows of the fault table that a pool has to survive, each with real child processes."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from itertools import count
from multiprocessing import context
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from plugins.waves import worker
from plugins.waves.pool import Pool, lane, load, quarantine
from plugins.waves.pool import pool as pool_module
from plugins.waves.process import Report
from plugins.waves.process import worker_process as process
from tests.failing import failing_at
from tests.patience import LIMIT_S, SOON_S, until
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.pool.pools import Asked, GateMaker, all_ready, running, wait_until_gone

pytestmark = pytest.mark.faults
E2E = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
STOP_LIMIT_S = 8.0


ATTEMPTS = {"killed": 7, "crashed": 2, "error": 1}


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a job whose worker was killed be tried again soon, as often as it is."""
    monkeypatch.setattr(lane, "KILL_PAUSES_S", [0.0] + [0.2] * (len(lane.KILL_PAUSES_S) - 1))
    monkeypatch.setattr(lane, "IDLE_CHECK_S", 0.1)


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


@pytest.fixture
def time_for_echoes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a job that does nothing bad all the time it needs, however short the pool's limit is."""
    run = process.Worker.run

    def patient(worker: process.Worker, timeout_s: float, task: Any, *arguments: Any) -> Report:
        harmless = task is jobs.work and arguments[0][0] == "echo"
        return run(worker, LIMIT_S if harmless else timeout_s, task, *arguments)

    monkeypatch.setattr(process.Worker, "run", patient)


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
@pytest.mark.usefixtures("short_pauses")
def test_a_worker_that_dies_in_its_reply() -> None:
    """F11: half a reply fails its job alone; no later job gets the rest of it."""
    job, following = Asked("bad.wav", "die_in_the_reply"), Asked("good.wav", "echo", "mine")

    with running(lanes=1) as pool:
        pool.submit(job)
        pool.submit(following)

        assert (job.outcome().reason, job.outcome().attempts) == ("killed", 7)
        assert following.value() == "mine"


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


OF_THE_POOL = {f"plugins.waves.{name}" for name in ("pool", "lane", "backlog", "quarantine")}
SPARED = {"__init__", "run", "_see_off", "_end", "<lambda>", "<genexpr>"}
"""The ends of the threads, and what tells a job's end to its owner: the thing that has to come."""


@pytest.mark.faults_slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # at a stop
@pytest.mark.parametrize("payload", [("echo", "x"), ("segfault",)], ids=["done", "crashed"])
def test_whatever_step_of_the_pool_raises(tmp_path: Path, payload: tuple[str, ...]) -> None:
    """Whichever call on the pool's threads raises, a job ends once, and so does the next one."""
    failures: list[str] = []
    for number in count(1):
        job, following = Asked(tmp_path / "a.wav", *payload), Asked("b.wav", "echo", "x")
        with capture_logs(), failing_at(number, OF_THE_POOL, SPARED) as failed, running() as pool:
            pool.submit(job)
            pool.submit(following)
            job.outcome()
            following.outcome()
        if not failed:
            break
        failures += failed

    assert len(failures) > 20, "which calls they are depends on how the threads take turns"


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
    path = tmp_path / "poison.wav"
    path.write_bytes(b"poison")
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
        path.write_bytes(b"other poison")
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


def test_frozen_workers_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both workers frozen the state names who waits and who was refused, then is ok again."""
    monkeypatch.setattr(pool_module, "LOOK_EVERY_S", 0.05)
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
    monkeypatch.setattr(pool_module, "LOOK_EVERY_S", 0.05)
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


def test_five_hundred_at_once(gate: GateMaker) -> None:
    """F15: of 500 in one tick queue_max_size + max_workers are accepted, each other is told why."""
    told, door = gate("told"), gate("door")
    several = [Asked(f"{n}.wav", "tell_and", told.path, "pass_gate", door.path) for n in range(500)]

    with running(lanes=2, queue_max_size=128) as pool:
        accepted = [pool.submit(job) for job in several]
        refusals = [job.outcome() for job, ok in zip(several, accepted, strict=True) if not ok]

        assert accepted.count(True) == 128 + 2
        assert {refusal.reason for refusal in refusals} == {"queue_full"}
        assert pool.stop(0) == 128 + 2
    for job in several:
        job.outcome()


def test_the_same_path_twice(tmp_path: Path, gate: GateMaker) -> None:
    """F16: a path that waits or runs already, live or as backfill, is done once; both are told."""
    log, told, door = tmp_path / "log", gate("told"), gate("door")
    blocker = Asked("blocker.wav", "tell_and", told.path, "pass_gate", door.path)
    same = [Asked("same.wav", "append", str(log), "done") for _ in range(3)]

    with running(lanes=1) as pool:
        pool.submit(blocker)
        told.line()
        also_running = Asked("blocker.wav", "echo", "not this")
        pool.submit(also_running)
        for job, live in zip(same, (True, False, True), strict=True):
            pool.submit(job, live=live)
        door.open()

        assert {job.value() for job in same} == {"done"}
        assert {blocker.value(), also_running.value()} == {"go"}
    assert log.read_text() == "done\n"


def test_asked_before_start_after_stop_and_from_another_thread() -> None:
    """F17: a pool that does not run refuses; one that runs may be asked from any thread."""
    early, late, aside = (Asked(f"{n}.wav", "echo", str(n)) for n in range(3))
    pool = Pool(jobs.work, lanes=1, queue_max_size=1, timeout_s=LIMIT_S)

    assert not pool.submit(early)
    pool.start()
    thread = threading.Thread(target=pool.submit, args=(aside,))
    thread.start()
    thread.join(LIMIT_S)
    assert aside.value() == "2"
    pool.stop()
    assert not pool.submit(late)

    assert [early.outcome().reason, late.outcome().reason] == ["stopped", "stopped"]


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


@pytest.mark.e2e
@pytest.mark.parametrize("case", ["deleted", "replaced", "growing"])
def test_a_source_that_changes_while_it_waits(tmp_path: Path, case: str) -> None:
    """F19: a recording that went, was replaced or still grows is refused, and leaves no file."""
    source = tmp_path / "tts" / "a.wav"
    source.parent.mkdir()
    header = b"RIFF" + (36 + 16000).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    layout = (
        b"\1\0\1\0" + (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\2\0\20\0"
    )
    source.write_bytes(header + layout + b"data" + (16000).to_bytes(4, "little") + bytes(16000))
    targets = [str(tmp_path / "waves" / f"a_v3_wave{n}.wav") for n in (1, 2, 3)]
    order = worker.Order(
        str(source),
        (targets[0], targets[1], targets[2]),
        str(tmp_path / ".tmp"),
        str(tmp_path),
        8000,
        600,
        "librosa",
    )

    class Waiting(Asked):
        def begin(self, queued_ms: float) -> object:
            if case == "deleted":
                source.unlink()
            elif case == "replaced":
                source.write_text("something else")
            else:
                source.write_bytes(source.read_bytes()[:5000])
            return order

    job = Waiting(source)
    with running(lanes=1, task=worker.decompose) as pool:
        pool.submit(job)
        outcome = job.outcome()

    expected = {"deleted": "does not exist", "replaced": "RIFF", "growing": "bytes"}
    assert outcome.reason == "invalid_audio"
    assert expected[case] in outcome.message
    assert not (tmp_path / "waves").exists()


@pytest.mark.e2e
@pytest.mark.parametrize("case", ["idle", "128 queued", "2 hung", "twice", "during start"])
def test_stop_is_bounded(gate: GateMaker, case: str) -> None:
    """F28: whatever the pool does, it stops in time, and every accepted job has ended then."""
    told = gate("told")
    lanes = 1 if case == "during start" else 2
    warm_up = partial(jobs.hang_at_start, told.path) if case == "during start" else jobs.warm_up
    accepted: list[Asked] = []

    starting = monotonic()
    with running(lanes=lanes, queue_max_size=128, warm_up=warm_up) as pool:
        if case == "during start":
            told.line()
        else:
            all_ready(pool, 2)
        if case in {"128 queued", "2 hung", "twice"}:
            hang = ("tell_and", told.path, "hold_the_gil", "60")
            accepted = [Asked(f"hung-{n}.wav", *hang) for n in range(2)]
            for job in accepted:
                pool.submit(job)
            heard = ""
            while heard.count("\n") < 1:
                heard += told.line() + "\n"
        if case == "128 queued":
            accepted += [Asked(f"{n}.wav", "echo", "x") for n in range(128)]
            for job in accepted[2:]:
                assert pool.submit(job)
        started = monotonic()
        start_s = started - starting
        if case == "twice":
            first = threading.Thread(target=pool.stop, args=(2.0,))
            first.start()
            pool.stop(2.0)
            first.join()
        else:
            pool.stop(2.0)

        assert monotonic() - started < STOP_LIMIT_S + start_s
        assert [len(job.outcomes) for job in accepted] == [1] * len(accepted)
        assert {job.outcomes[0].reason for job in accepted} <= {"stopped"}
    assert all(wait_until_gone(pid, SOON_S) for pid in pids_of_workers(os.getpid()))


PARENT = """
import sys
from functools import partial
from plugins.waves.pool import (Pool)
from tests.plugins.waves.pool import tasks as jobs, pools

if __name__ == "__main__":
    case, told = sys.argv[1:]
    warm_up = partial(jobs.hang_at_start, told) if case == "starting" else jobs.warm_up
    pool = Pool(jobs.work, lanes=1, queue_max_size=1, timeout_s=60, warm_up=warm_up)
    pool.start()
    then = {"in python": ("spin",), "holding the gil": ("hold_the_gil", "60")}
    job = pools.Asked("a.wav", "tell_and", told, *then.get(case, ("echo", "x")))
    pool.submit(job)
    job.outcome()
    sys.stdin.read()
"""


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's; elsewhere a thread watches")
@pytest.mark.parametrize("case", ["idle", "in python", "holding the gil", "starting"])
def test_the_parent_is_killed(gate: GateMaker, tmp_path: Path, case: str) -> None:
    """F29: a worker is gone within 2 s after its parent was killed, whatever it does.

    On a busy machine it gets as long as two starts take there.
    """
    told = gate("told")
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    starting = monotonic()
    with subprocess.Popen(
        [sys.executable, str(script), case, told.path], stdin=subprocess.PIPE, env=environment
    ) as parent:
        worker_pid = int(told.line())
        start_s = monotonic() - starting
        parent.kill()

        assert wait_until_gone(worker_pid, max(2.0, 2 * start_s))


def pids_of_workers(pid: int) -> list[int]:
    """Return the worker processes of `pid`, without multiprocessing's resource tracker."""
    found = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in listing.read_text().split():
                with suppress(OSError):
                    if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                        found.append(int(child))
    return found


def open_descriptors() -> int:
    """Count what this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


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
