"""A pool that is stopped, or whose process is killed, whatever its workers do."""

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from tests.patience import SOON_S
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.pool.pools import (
    Asked,
    GateMaker,
    all_ready,
    pids_of_workers,
    running,
    wait_until_gone,
)

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[4]

STOP_LIMIT_S = 8.0


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
