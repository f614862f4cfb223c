"""The pool: admission, order, duplicates, states, stop; the faults stand in test_faults_*.py."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.environment import inherited
from backend.plugins.testing import threads_that_stay
from plugins.waves.pool import Outcome, Pool, lane
from plugins.waves.pool.job import Job
from plugins.waves.pool.queue import Backlog
from plugins.waves.process.worker_main import ONE_THREAD
from tests import scheduling as timeslice
from tests.patience import LIMIT_S, until
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.pool.pools import (
    Asked,
    Gate,
    GateMaker,
    all_ready,
    running,
    wait_until_gone,
)


def test_a_job_runs_in_another_process_and_reports_its_times() -> None:
    """A job runs in a child process; its outcome holds what it returned and how long it took."""
    job = Asked("a.wav", "pid")

    with running() as pool:
        accepted = pool.submit(job)

        assert accepted
        assert job.value() != os.getpid()
        assert job.outcomes[0].queued_ms > 0
        assert job.outcomes[0].running_ms > 0
        assert job.outcomes[0].attempts == 1


def test_a_worker_is_kept_for_the_next_job() -> None:
    """A worker process is used for one job after the other."""
    first, second = Asked("a.wav", "pid"), Asked("b.wav", "pid")

    with running() as pool:
        pool.submit(first)
        pool.submit(second)

        assert first.value() == second.value()


def test_the_child_is_guarded() -> None:
    """A worker is nice: lowest priority, one thread, short slices, deaf to Ctrl-C."""
    job = Asked("a.wav", "surroundings")

    with running(memory_limit_mb=700) as pool:
        pool.submit(job)
        data = job.outcome().report.data

    assert data["nice"] == 19
    assert data["time_slice_ns"] == timeslice.shortest_granted()
    assert data["threads"] == data["numba_threads"] == "1"
    assert data["sigint_ignored"] is data["sigint_blocked"] is True
    assert data["memory"] == 700 * 2**20
    assert data["victim"] == "1000"
    assert not {"numpy", "librosa", "fastapi", "structlog"} & set(data["modules"])  # type: ignore[call-overload]  # a tuple of names


def test_where_somebody_waits_a_child_is_as_important_as_its_parent() -> None:
    """Without low priority and a limit of memory a worker has its parent's."""
    job = Asked("a.wav", "surroundings")

    with running(memory_limit_mb=0, low_priority=False) as pool:
        pool.submit(job)
        data = job.outcome().report.data

    assert data["nice"] == os.nice(0)
    assert data["memory"] == resource.getrlimit(resource.RLIMIT_DATA)[0]


def test_preparing_is_shown_and_comes_before_the_first_worker() -> None:
    """A preparation runs once, before any worker, and says why the pool is warming."""
    states: list[tuple[str, str]] = []
    deaths: list[bool] = []

    def prepare(say: Callable[[str], None], cancelled: threading.Event, died: bool) -> None:
        deaths.append(died)
        say("half done")

    with running(lanes=2, prepare=prepare, on_state=lambda *state: states.append(state)) as pool:
        all_ready(pool, 2)

    assert deaths == [False]
    assert states[1] == ("warming", "half done")
    assert states[-1] == ("ok", "")


@pytest.mark.e2e
def test_the_session_of_a_child_is_as_nice_as_the_machine_grants() -> None:
    """A worker lowers its session as well, unless too many users ask the kernel at that moment."""
    granted = jobs.granted_group_niceness()

    def lowered() -> bool:
        job = Asked("a.wav", "surroundings")
        with running() as pool:
            pool.submit(job)
            return bool(job.outcome().report.data["group_nice"] == granted)

    assert any(lowered() for _ in range(5))


def test_a_worker_keeps_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the variables of the system alone, also in the memory that Linux shows of it."""
    monkeypatch.setenv("RR_API_TOKEN", "canary-of-the-pool")

    with running() as pool:
        (pid,) = all_ready(pool, 1)
        job = Asked("a.wav", "surroundings")
        pool.submit(job)
        names = job.outcome().report.data["variables"]
        shown = Path(f"/proc/{pid}/environ").read_bytes() if sys.platform == "linux" else b""

    assert isinstance(names, tuple)
    assert set(names) <= {*inherited(), *ONE_THREAD}
    assert b"canary-of-the-pool" not in shown


def test_the_parent_keeps_its_environment() -> None:
    """Starting workers leaves the parent's own environment alone."""
    before = dict(os.environ)

    with running() as pool:
        job = Asked("a.wav", "echo", "x")
        pool.submit(job)
        job.value()

    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("payload", "reason", "words"),
    [
        (("raise_error",), "error", "LocalError: the tide is out"),
        (("exit_softly",), "error", "SystemExit: 3"),
        (("return_nothing_sensible",), "error", "a report holds plain values, not a function"),
        (("no such job",), "error", "KeyError"),
    ],
)
def test_an_exception_in_a_job_is_its_outcome(
    payload: tuple[str, ...], reason: str, words: str
) -> None:
    """What a job raises becomes a record with its words and traceback; the worker goes on."""
    job, following = Asked("a.wav", *payload), Asked("b.wav", "echo", "on")

    with running() as pool:
        pool.submit(job)
        pool.submit(following)
        outcome = job.outcome()

        assert outcome.reason == reason
        assert words in outcome.message
        assert "Traceback" in outcome.report.detail
        assert following.value() == "on"


def test_a_job_that_cannot_be_sent_fails_alone() -> None:
    """A payload that cannot be pickled fails its job and not its worker."""
    job, following = Asked("a.wav", lambda: None), Asked("b.wav", "echo", "on")

    with running() as pool:
        pool.submit(job)
        pool.submit(following)

        assert job.outcome().reason == "error"
        assert "cannot be sent" in job.outcomes[0].message
        assert following.value() == "on"


def test_a_failing_begin_is_the_outcome_of_its_job() -> None:
    """Whatever `begin` raises is the outcome of that job; the next one runs."""

    class Unready(Asked):
        def begin(self, queued_ms: float) -> object:
            raise OSError("no such turn")

    job, following = Unready("a.wav"), Asked("b.wav", "echo", "on")

    with running() as pool:
        pool.submit(job)
        pool.submit(following)

        assert (job.outcome().reason, job.outcome().message) == ("error", "no such turn")
        assert following.value() == "on"


class SlowToHear(Asked):
    """A job whose end takes until it is told to be over."""

    def __init__(self, path: str, *payload: str) -> None:
        super().__init__(path, *payload)
        self.may_end = threading.Event()

    def end(self, outcome: Outcome) -> None:
        assert self.may_end.wait(LIMIT_S)
        super().end(outcome)


def test_a_slow_end_holds_no_lane_up() -> None:
    """While the end of a job is being told, its lane does the next; a duplicate joins the first."""
    first, second = SlowToHear("a.wav", "pid"), Asked("b.wav", "pid")
    third = Asked("a.wav", "pid")

    with running() as pool:
        pool.submit(first)
        pool.submit(second)
        assert second.begun.wait(LIMIT_S)
        pool.submit(third)
        first.may_end.set()

        assert first.value() == second.value() == third.value()
    assert not third.begun.is_set()


def test_a_job_is_held_until_its_end_is_told() -> None:
    """While somebody learns how a job ended, and records it, the pool still holds its path."""
    held: list[bool] = []
    job = Asked("told.wav", "echo", "x")

    with running() as pool:
        end = job.end

        def told(outcome: Outcome) -> None:
            held.append(pool.holds(job.path))
            end(outcome)

        job.end = told  # type: ignore[method-assign]  # the moment is what is tested
        pool.submit(job)
        assert "x" == job.value()
        after = Asked("after.wav", "echo", "x")
        pool.submit(after)
        after.value()
        held.append(pool.holds(job.path))

    assert [True, False] == held


def test_a_failing_end_is_logged_and_harms_nobody() -> None:
    """An `end` that raises is logged with its path; the lane goes on."""

    class Deaf(Asked):
        def end(self, outcome: Outcome) -> None:
            super().end(outcome)
            raise RuntimeError("not listening")

    job, following = Deaf("a.wav", "echo", "x"), Asked("b.wav", "echo", "on")

    with capture_logs() as logs, running() as pool:
        pool.submit(job)
        pool.submit(following)
        following.value()

    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (entry["path"], entry["exc_info"]) == ("a.wav", True)


def test_live_jobs_go_before_backfill(tmp_path: Path, gate: GateMaker) -> None:
    """Jobs run in the order they came, live ones before all backfill."""
    order, running_now, door = tmp_path / "order", gate("running"), gate("door")
    blocker = Asked("blocker.wav", "tell_and", running_now.path, "pass_gate", door.path)
    backfill = [Asked(f"b{n}.wav", "append", str(order), f"b{n}") for n in (1, 2)]
    live = [Asked(f"l{n}.wav", "append", str(order), f"l{n}") for n in (1, 2)]

    with running() as pool:
        pool.submit(blocker)
        running_now.line()
        for job in backfill:
            pool.submit(job, live=False)
        for job in live:
            pool.submit(job)
        door.open()
        for job in (*backfill, *live):
            job.value()

    assert order.read_text().split() == ["l1", "l2", "b1", "b2"]


def test_a_live_duplicate_pulls_its_backfill_job_forward(tmp_path: Path, gate: GateMaker) -> None:
    """A path asked for live that already waits as backfill is done once, with the live ones."""
    order, running_now, door = tmp_path / "order", gate("running"), gate("door")
    blocker = Asked("blocker.wav", "tell_and", running_now.path, "pass_gate", door.path)
    other = Asked("other.wav", "append", str(order), "other")
    twice = [Asked("same.wav", "append", str(order), "same") for _ in range(2)]

    with running() as pool:
        pool.submit(blocker)
        running_now.line()
        pool.submit(other, live=False)
        pool.submit(twice[0], live=False)
        pool.submit(twice[1], live=True)
        door.open()
        for job in (other, *twice):
            job.value()

    assert order.read_text().split() == ["same", "other"]


def test_backfill_waits_for_an_almost_empty_queue(gate: GateMaker) -> None:
    """There is room for backfill while less than a quarter of the queue is taken."""
    running_now, door = gate("running"), gate("door")
    blocker = Asked("blocker.wav", "tell_and", running_now.path, "pass_gate", door.path)

    with running(queue_max_size=8) as pool:
        pool.submit(blocker)
        running_now.line()
        rooms = []
        for n in range(3):
            rooms.append(pool.has_room_for_backfill)
            pool.submit(Asked(f"{n}.wav", "echo", "x"))
        door.open()

    assert rooms == [True, True, False]
    assert not pool.has_room_for_backfill


def test_states_are_told_as_they_change() -> None:
    """A pool is warming until a worker is ready, then ok; each state is told once."""
    told: list[tuple[str, str]] = []
    ready = threading.Event()

    def on_state(state: str, reason: str) -> None:
        told.append((state, reason))
        if state == "ok":
            ready.set()

    with running(lanes=2, on_state=on_state):
        assert ready.wait(LIMIT_S)

    assert told == [("warming", "the workers are starting"), ("ok", "")]


def test_a_worker_that_reports_a_problem_at_start_makes_the_pool_degraded() -> None:
    """The reason why a worker cannot start reaches the state."""
    told: list[tuple[str, str]] = []
    degraded = threading.Event()

    def on_state(state: str, reason: str) -> None:
        told.append((state, reason))
        if state == "degraded":
            degraded.set()

    with running(warm_up=jobs.refuse_to_start, on_state=on_state):
        assert degraded.wait(LIMIT_S)

    assert told[-1] == ("degraded", "1 of 1 workers cannot start: no module named 'sound'")


@pytest.mark.e2e
def test_the_first_worker_warms_up_alone(
    gate: GateMaker,
) -> None:
    """While the first worker warms up, no other is started."""
    told = gate("told")

    with running(lanes=2, warm_up=partial(jobs.hang_at_start, told.path)):
        first = told.line()
        with pytest.raises(AssertionError, match="nothing was told"):
            told.line(0.5)

    assert int(first) > 0


class Dawdler(Pool):
    """A pool that hears late that its first worker is ready: the second starts before."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.firsts: list[bool] = []
        self.second_starts = threading.Event()

    def update_state(self) -> None:
        if self.worker_pids:
            assert self.second_starts.wait(LIMIT_S)
        super().update_state()

    @contextmanager
    def starting(self) -> Iterator[bool]:
        with super().starting() as first:
            self.firsts.append(first)
            if len(self.firsts) == 2:
                self.second_starts.set()
            yield first


def test_one_worker_is_the_first() -> None:
    """The second worker is not told that it is the first: what the first publishes is not swept."""
    pool = Dawdler(jobs.work, lanes=2, queue_max_size=10, timeout_s=LIMIT_S, warm_up=jobs.warm_up)

    with pool:
        all_ready(pool, 2)

    assert [True, False] == pool.firsts


@pytest.mark.e2e
def test_a_lane_without_a_worker_gives_its_job_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job waiting for its second attempt moves on if its lane cannot start a worker again."""
    marker = tmp_path / "broken"
    monkeypatch.setattr(lane, "FIRST_BACK_OFF_S", LIMIT_S)
    job = Asked("a.wav", "die_and_break", str(marker))

    with running(lanes=2, warm_up=partial(jobs.refuse_to_start_with, str(marker))) as pool:
        all_ready(pool, 2)
        pool.submit(job)

        assert job.value() == "second attempt"
        assert job.outcomes[0].attempts == 2


def open_after(door: Gate, job: Asked) -> None:
    """Open `door` when `job` has ended."""
    job.outcome()
    door.open()


def test_stop_lets_running_jobs_end_and_drops_waiting_ones(gate: GateMaker) -> None:
    """At stop the running job ends well, the waiting ones end as stopped, and they are counted."""
    running_now, door = gate("running"), gate("door")
    job = Asked("0.wav", "tell_and", running_now.path, "pass_gate", door.path)
    waiting = [Asked(f"{n}.wav", "echo", "x") for n in range(1, 4)]

    with capture_logs() as logs, running() as pool:
        pool.submit(job)
        running_now.line()
        for other in waiting:
            pool.submit(other)
        opener = threading.Thread(target=open_after, args=(door, waiting[0]))
        opener.start()  # the job goes on once stop() has dropped those that wait
        dropped = pool.stop(LIMIT_S)
        opener.join(LIMIT_S)

    assert dropped == 3
    assert job.value() == "go"
    assert {other.outcome().reason for other in waiting} == {"stopped"}
    (entry,) = [entry for entry in logs if entry["event"] == "jobs were dropped at stop"]
    assert (entry["log_level"], entry["waiting"], entry["running"]) == ("warning", 3, 0)


def test_backfill_jobs_that_a_stop_leaves_are_no_loss(gate: GateMaker) -> None:
    """At stop jobs that the backfill finds again are told of without a warning."""
    running_now, door = gate("running"), gate("door")

    with capture_logs() as logs, running() as pool:
        pool.submit(
            Asked("0.wav", "tell_and", running_now.path, "pass_gate", door.path), live=False
        )
        running_now.line()
        pool.submit(Asked("1.wav", "echo", "x"), live=False)
        dropped = pool.stop(0)

    assert dropped == 2
    (entry,) = [entry for entry in logs if "jobs" in entry]
    assert ("info", 2) == (entry["log_level"], entry["jobs"])
    assert not [entry for entry in logs if entry["log_level"] == "warning"]


def test_a_lane_that_is_done_ends_while_another_is_waited_for(gate: GateMaker) -> None:
    """At stop a lane whose job ends first does not ask for jobs until the last one ends."""
    started, doors = gate("started"), [gate("first"), gate("second")]
    jobs_now = [
        Asked(f"{n}.wav", "tell_and", started.path, "pass_gate", door.path)
        for n, door in enumerate(doors)
    ]

    with running(lanes=2) as pool:
        all_ready(pool, 2)
        for job in jobs_now:
            pool.submit(job)
            started.line()
        stopping = threading.Thread(target=pool.stop, args=(LIMIT_S,))
        stopping.start()
        doors[0].open()
        until(lambda: sum(one.is_alive() for one in pool._lanes) == 1, "one lane")
        still_running = stopping.is_alive()
        doors[1].open()
        stopping.join(LIMIT_S)

    assert still_running
    assert ["go", "go"] == [job.value() for job in jobs_now]


def test_a_job_that_a_visitor_asks_for_while_it_runs_is_a_live_one() -> None:
    """A backfill job that comes back from a dead worker is not displaced if a visitor waits."""
    backlog = Backlog()
    job = Job("a.wav", [], live=False, accepted_at=0.0)
    backlog.put(job)
    assert backlog.first(0.0, others=True, here=False) is job
    backlog.remove(job)

    backlog.promote(job)
    backlog.put_first(job)

    assert backlog.displace() is None
    assert backlog.first(0.0, others=True, here=False) is job


def test_stop_leaves_no_thread_and_no_process() -> None:
    """After stop neither a thread nor a worker of the pool is left."""
    before = set(threading.enumerate())

    with running(lanes=2) as pool:
        all_ready(pool, 2)
        pids = pool.worker_pids
        pool.stop()

    assert [] == threads_that_stay(before)
    assert all(wait_until_gone(pid, LIMIT_S) for pid in pids)


@pytest.mark.e2e
def test_the_parent_side_stays_light() -> None:
    """Importing the pool and its task loads no audio or numeric library."""
    code = (
        "import sys, plugins.waves.pool.pool, plugins.waves.worker, plugins.waves.cli.main\n"
        "heavy = {'librosa', 'numba', 'scipy', 'numpy', 'soundfile', 'soxr'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[4])


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_start_that_was_interrupted_can_be_stopped(
    nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the pool starts its threads leaves a pool that stops without an error."""
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) == nth:
            raise KeyboardInterrupt
        start(thread)

    pool = Pool(jobs.work, lanes=1, queue_max_size=1, timeout_s=LIMIT_S)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.start()

    assert 0 == pool.stop(0)
    for thread in started[: nth - 1]:
        thread.join(LIMIT_S)
        assert not thread.is_alive()
