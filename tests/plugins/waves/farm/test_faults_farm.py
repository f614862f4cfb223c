"""Faults of a farm: no job is lost, and none ends twice. Worker machines are real processes.

Each is repeated `RR_TEST_FARM_REPEATS` times: 1 by default, 20 for the figures of a release.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import psutil
import pytest
from structlog.testing import capture_logs

from plugins.waves.farm import wire
from plugins.waves.pool import Pool
from tests.nats_server import NatsServer, nats_server
from tests.patience import SOON_S, until
from tests.plugins.waves.farm.farms import (
    Asked,
    check_used,
    machine_here,
    machine_process,
    recording,
    serving,
)
from tests.plugins.waves.farm.proxy import Proxy
from tests.plugins.waves.farm.tasks import HANG, HOLD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.faults_slow,
    pytest.mark.parametrize("repeat", range(int(os.environ.get("RR_TEST_FARM_REPEATS", "1")))),
]
UNUSED = "the farm is not used; this machine makes the waves"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Run a NATS server."""
    with nats_server(tmp_path / "nats") as one:
        yield one


class Held:
    """A job that a worker holds until it is let go; which process has it is seen."""

    def __init__(self, folder: Path, name: str = "held") -> None:
        self._gate = folder / f"{name}.gate"
        self._gate.touch()
        end = HOLD + str(self._gate).encode()
        self.asked = Asked(recording(folder / f"{name}.wav", end))

    def pids(self) -> set[int]:
        """Return the worker processes that have begun it."""
        found = self._gate.parent.glob(f"{self._gate.name}-*")
        return {int(one.name.rpartition("-")[2]) for one in found}

    def wait_for_a_worker(self, but: set[int] = set()) -> int:  # noqa: B006 - it is not changed
        """Wait until a worker has begun it, other than these."""
        until(lambda: bool(self.pids() - but), "a worker that holds the job")
        return (self.pids() - but).pop()

    def let_go(self) -> None:
        """Let whoever has it go on."""
        self._gate.unlink(missing_ok=True)


def others(folder: Path, pool: Pool, count: int = 6) -> list[Asked]:
    """Ask for the waves of some more recordings."""
    asked = [Asked(recording(folder / f"{number}.wav")) for number in range(count)]
    for one in asked:
        pool.submit(one)
    return asked


def check(*asked: Asked) -> None:
    """Check that each has ended, once, with three whole waves."""
    for one in asked:
        one.made()
    for one in asked:
        assert 1 == len(one.outcomes)


@contextmanager
def held_by_one_of_two(
    server: NatsServer, folder: Path
) -> Iterator[tuple[Held, int, subprocess.Popen[bytes], Pool]]:
    """Run a pool and two machines, one of which holds a job; yield the worker that has it, too."""
    held = Held(folder)
    with ExitStack() as stack:
        machines = [stack.enter_context(machine_process(server.url)) for _ in range(2)]
        pool = stack.enter_context(serving(server.url, folder / "s"))
        until(lambda: pool._remote._room() == 4, "two machines")  # type: ignore[union-attr]
        pool.submit(held.asked)
        first = held.wait_for_a_worker()
        yield held, first, next(one for one in machines if first in children(one.pid)), pool


def test_a_machine_that_is_killed_in_a_job(server: NatsServer, tmp_path: Path, repeat: int) -> None:
    """Another machine gets the job once nothing was heard of the first for a while."""
    with held_by_one_of_two(server, tmp_path) as (held, first, victim, pool):
        victim.kill()
        rest = others(tmp_path, pool)
        held.wait_for_a_worker(but={first})
        held.let_go()

        check(held.asked, *rest)
        assert 2 == held.asked.outcomes[0].attempts


def test_the_only_machine_is_killed(server: NatsServer, tmp_path: Path, repeat: int) -> None:
    """This machine takes over, also what was being done there."""
    held = Held(tmp_path)
    with serving(server.url, tmp_path / "s", wait=False) as pool:
        with machine_process(server.url):
            until(lambda: pool.is_elsewhere, "a farm that is used")
            pool.submit(held.asked)
            held.wait_for_a_worker()
        rest = others(tmp_path, pool)
        until(lambda: not pool.is_elsewhere, "a pool that takes over")
        held.let_go()

        check(held.asked, *rest)
        assert "" == held.asked.made()


def test_a_machine_that_was_frozen_for_too_long(
    server: NatsServer, tmp_path: Path, repeat: int
) -> None:
    """Another does its job; what it says when it is woken again changes nothing."""
    with held_by_one_of_two(server, tmp_path) as (held, first, victim, pool):
        victim.send_signal(signal.SIGSTOP)
        held.wait_for_a_worker(but={first})
        held.let_go()
        check(held.asked)
        victim.send_signal(signal.SIGCONT)
        rest = others(tmp_path, pool, 12)

        check(held.asked, *rest)


@pytest.mark.parametrize("with_store", [False, True], ids=["its store left", "its store lost"])
def test_the_nats_server_is_killed_and_started(
    server: NatsServer, tmp_path: Path, repeat: int, with_store: bool
) -> None:
    """This machine does what was out; the farm is used again when it is back."""
    held = Held(tmp_path)
    with (
        capture_logs() as logged,
        machine_process(server.url),
        serving(server.url, tmp_path / "s") as pool,
    ):
        pool.submit(held.asked)
        held.wait_for_a_worker()
        first = others(tmp_path / "1", pool)
        until(lambda: pool.is_elsewhere, "a farm that is used")
        logged.clear()
        server.kill()
        if with_store:
            shutil.rmtree(server.store)
        until(lambda: not pool.is_elsewhere, "a pool that takes over")
        held.let_go()
        second = others(tmp_path / "2", pool)
        check(held.asked, *first, *second)
        server.start()
        said_before = [line["event"] for line in logged]
        until(lambda: pool.is_elsewhere, "a farm that is used again")
        third = others(tmp_path / "3", pool)

        check(held.asked, *first, *second, *third)
        check_used(tmp_path / "4", pool)
    assert 1 == said_before.count(UNUSED)


@pytest.mark.parametrize("whose", ["the server's", "the machine's"])
def test_a_connection_is_cut_for_ten_seconds(
    server: NatsServer, tmp_path: Path, repeat: int, whose: str
) -> None:
    """Nothing passes, and nobody is told: silence alone is noticed."""
    held = Held(tmp_path)
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(server.port))
        urls = {"the server's": server.url, "the machine's": server.url} | {whose: proxy.url}
        stack.enter_context(machine_process(urls["the machine's"]))
        pool = stack.enter_context(serving(urls["the server's"], tmp_path / "s"))
        pool.submit(held.asked)
        held.wait_for_a_worker()

        cut_at = monotonic()
        proxy.cut()
        until(lambda: not pool.is_elsewhere, "a pool that takes over")
        held.let_go()
        rest = others(tmp_path / "1", pool)
        check(held.asked, *rest)
        until(lambda: monotonic() - cut_at > 10, "the end of ten seconds")
        proxy.mend()
        until(lambda: pool.is_elsewhere, "a farm that is used again")
        later = others(tmp_path / "2", pool)

        check(held.asked, *rest, *later)
        check_used(tmp_path / "3", pool)


def test_a_full_stream(server: NatsServer, tmp_path: Path, repeat: int) -> None:
    """Jobs that the stream refuses are done here, at once; it is said once."""
    held = [Held(tmp_path, f"held{number}") for number in range(2)]
    with ExitStack() as stack:
        logged = stack.enter_context(capture_logs())
        small = stack.enter_context(
            serving(server.url, tmp_path / "1", wait=False, queue_max_size=2)
        )
        stack.enter_context(machine_here(server.url))
        until(lambda: small.is_elsewhere, "a farm that is used")
        large = stack.enter_context(serving(server.url, tmp_path / "2"))
        for one in held:
            small.submit(one.asked)
        held[0].wait_for_a_worker()
        until(lambda: len(small._remote.held) == 2, "two jobs in the stream")  # type: ignore[union-attr]
        rest = others(tmp_path / "3", large)
        check(*rest)
        assert "" in {one.made() for one in rest}
        for one in held:
            one.let_go()

        check(*(one.asked for one in held), *rest)
    full = [line for line in logged if "full" in str(line.get("problem"))]
    assert 1 == len(full)


def test_a_recording_that_hangs(server: NatsServer, tmp_path: Path, repeat: int) -> None:
    """The machine kills its worker in time, and says so; the others go on."""
    asked = Asked(recording(tmp_path / "a.wav", HANG))
    with machine_here(server.url, timeout_s=5), serving(server.url, tmp_path / "s") as pool:
        pool.submit(asked)
        rest = others(tmp_path, pool)
        outcome = asked.outcome()

        assert "timeout" == outcome.reason
        check(*rest)


def test_a_job_that_no_machine_survives(
    server: NatsServer, tmp_path: Path, repeat: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is delivered four times, then it has failed with a reason, and its place is free."""
    monkeypatch.setattr(wire, "ACK_WAIT_S", 0.5)
    monkeypatch.setattr(wire, "ABSENT_AFTER_S", 60)
    held = Held(tmp_path)
    seen: set[int] = set()
    with serving(server.url, tmp_path / "s", wait=False) as pool:
        for attempt in range(wire.DELIVERIES):
            with machine_process(server.url):
                if not attempt:
                    until(lambda: pool.is_elsewhere, "a farm that is used")
                    pool.submit(held.asked)
                seen.add(held.wait_for_a_worker(but=seen))
        with machine_here(server.url):  # JetStream gives up when somebody asks for the next job
            outcome = held.asked.outcome()
            rest = others(tmp_path, pool)
            check(*rest)

    assert ("killed", "4 workers of the farm did not finish it") == (
        outcome.reason,
        outcome.message,
    )


def test_two_servers_on_one_farm(server: NatsServer, tmp_path: Path, repeat: int) -> None:
    """Each gets the waves it has asked for, and no others."""
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(machine_process(server.url))
        pools = [stack.enter_context(serving(server.url, tmp_path / name)) for name in "ab"]
        asked = [one for pool in pools for one in others(tmp_path / f"{id(pool)}", pool, 20)]

        check(*asked)
        for pool in pools:
            check_used(tmp_path / f"{id(pool)}", pool)


def test_a_machine_that_is_stopped_gives_back(
    server: NatsServer, tmp_path: Path, repeat: int
) -> None:
    """SIGTERM in a job: it ends soon, without waiting for that, and another does the job."""
    with held_by_one_of_two(server, tmp_path) as (held, first, leaver, _):
        leaver.send_signal(signal.SIGTERM)
        assert 0 == leaver.wait(SOON_S)
        held.wait_for_a_worker(but={first})
        held.let_go()

        check(held.asked)
        assert 2 == held.asked.outcomes[0].attempts


def test_the_clock_jumps(
    server: NatsServer, tmp_path: Path, repeat: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day forward and back on the wall clock of the server and a machine changes nothing."""
    jump, real = [0.0], time.time
    monkeypatch.setattr("time.time", lambda: real() + jump[0])
    with machine_here(server.url), serving(server.url, tmp_path / "s") as pool:
        for number, seconds in enumerate((86_400.0, -86_400.0, 0.0)):
            jump[0] = seconds
            rest = others(tmp_path / str(number), pool)
            check(*rest)
            check_used(tmp_path / str(number), pool)


def children(pid: int) -> set[int]:
    """Return the processes that a machine has started."""
    return {one.pid for one in psutil.Process(pid).children(recursive=True)}
