"""Every call on the threads of the pool raises once."""

from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.failing import failing_at
from tests.plugins.waves.pool.pools import Asked, running

pytestmark = pytest.mark.faults

MODULES = "callbacks job job_table lane load pool quarantine queue state"
OF_THE_POOL = {f"plugins.waves.pool.{module}" for module in MODULES.split()}
SPARED = {"__init__", "run", "_end", "<lambda>", "<genexpr>"}
"""The main functions of the threads, and the call of `Work.end`, which has to come."""


@pytest.mark.faults_slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # at a stop
@pytest.mark.parametrize("payload", [("echo", "x"), ("segfault",)], ids=["done", "crashed"])
def test_whatever_step_of_the_pool_raises(tmp_path: Path, payload: tuple[str, ...]) -> None:
    """Whichever call on the pool's threads raises, a job ends once, and so does the next one."""
    failures: list[str] = []
    for number in count(1):
        job, following = Asked(tmp_path / "a.wav", *payload), Asked("b.wav", "echo", "x")
        with (
            capture_logs(),
            failing_at(number, OF_THE_POOL, SPARED) as failed,
            running(low_priority=False) as pool,
        ):
            pool.submit(job)
            pool.submit(following)
            job.outcome()
            following.outcome()
        if not failed:
            break
        failures += failed

    assert len(failures) > 20, "which calls they are depends on how the threads take turns"
