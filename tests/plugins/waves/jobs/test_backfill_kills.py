"""F24: the server is killed again and again, as at the wall socket, and started again."""

import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from backend.storage import Artifacts
from tests.backend.serving import READY
from tests.command import Running, free_port
from tests.patience import SOON_S, until
from tests.plugins.waves.speeches import check_all_whole, left, speak

pytestmark = pytest.mark.e2e

SEED = 24
PER_KILL = 8
EARLIEST_S, LATEST_S = 0.3, 5.0
"""When the server is killed after its start: while it imports, warms up, works, has ended."""


def serve(directory: Path) -> Running:
    """Start a server on an artifacts root that others may have left in any state."""
    return Running("serve", "--port", str(free_port()), cwd=directory)


def kill_again_and_again(directory: Path, kills: int) -> int:
    """Kill and restart, with new recordings each time; return how many all have their waves."""
    rng = random.Random(SEED)
    artifacts = Artifacts(directory / "artifacts")
    for number in range(kills):
        for n in range(PER_KILL):
            name = f"slot-{n % 6 + 1}_gpt-{n}_calm"
            speak(artifacts, name, session=f"session-{number}", turn=n % 3 + 1)
        with serve(directory) as server:
            time.sleep(rng.uniform(EARLIEST_S, LATEST_S))  # not to wait: the moment is the fault
            children = server.children
            server.stop(signal.SIGKILL)
            _, orphans = psutil.wait_procs(children, SOON_S)
            assert [] == orphans
    with serve(directory) as server:
        server.wait_for(READY)  # an interpreter that is not up yet meets a signal with a traceback
        until(lambda: not left(artifacts), "every recording has its waves")
        server.stop(signal.SIGINT)
        assert "Traceback" not in "".join(server.log)
    return check_all_whole(artifacts)


@pytest.mark.faults
def test_four_kills(tmp_path: Path) -> None:
    """F24: after four SIGKILLs at random moments everything has its waves, once, recorded."""
    assert 4 * PER_KILL == kill_again_and_again(tmp_path, 4)


@pytest.mark.faults_slow
def test_thirty_kills(tmp_path: Path) -> None:
    """F24: the same after thirty."""
    assert 30 * PER_KILL == kill_again_and_again(tmp_path, 30)
