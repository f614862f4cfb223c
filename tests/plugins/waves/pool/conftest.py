"""What the fault tests of the pool share."""

from typing import Any

import pytest

from plugins.waves.pool import lane
from plugins.waves.process import Report, Worker
from tests.patience import LIMIT_S
from tests.plugins.waves.pool import tasks as jobs


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a job whose worker was killed be tried again soon, as often as it is."""
    monkeypatch.setattr(lane, "KILL_PAUSES_S", [0.0] + [0.2] * (len(lane.KILL_PAUSES_S) - 1))
    monkeypatch.setattr(lane, "IDLE_CHECK_S", 0.1)


@pytest.fixture
def time_for_echoes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a job that does nothing bad all the time it needs, however short the pool's limit is."""
    run = Worker.run

    def patient(worker: Worker, timeout_s: float, task: Any, *arguments: Any) -> Report:
        harmless = task is jobs.work and arguments[0][0] == "echo"
        return run(worker, LIMIT_S if harmless else timeout_s, task, *arguments)

    monkeypatch.setattr(Worker, "run", patient)
