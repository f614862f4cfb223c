"""The child side, called in this process: every outcome becomes a plain report."""

import numpy as np
import pytest

from plugins.waves.process import worker_main as child
from plugins.waves.process.worker_main import DETAIL_LENGTH, MESSAGE_LENGTH, Report, run
from tests.plugins.waves.pool import tasks as jobs


def test_what_a_task_returns_becomes_plain() -> None:
    """Subclasses of built-in types, such as numpy's, reach the parent as what they are made of."""
    report = run(
        lambda: Report(data={"rmse": np.float64(0.5), "files": [("a", 1, True)], "x": {"y": None}})
    )

    assert report == Report(data={"rmse": 0.5, "files": (("a", 1, True),), "x": {"y": None}})
    assert type(report.data["rmse"]) is float


@pytest.mark.parametrize("value", [object(), np.float32(1), np.zeros(2), {"a": {1}}, b"bytes"])
def test_what_is_not_plain_is_an_error(value: object) -> None:
    """A value that only a library could read fails its job."""
    report = run(lambda: Report(data={"value": value}))

    assert report.reason == "error"
    assert "a report holds plain values" in report.message


@pytest.mark.parametrize(
    ("task", "reason", "words"),
    [
        (jobs.exit_softly, "error", "SystemExit: 3"),
        (jobs.raise_error, "error", "LocalError: the tide is out"),
        (jobs.pid, "error", "pid returned a int, not a Report"),
    ],
)
def test_whatever_a_task_raises_is_reported(task: object, reason: str, words: str) -> None:
    """No exception leaves `run`, SystemExit included."""
    report = run(task)  # type: ignore[arg-type]  # wrong tasks are what is tested

    assert report.reason == reason
    assert words in report.message
    assert "Traceback" in report.detail


def test_too_little_memory_has_a_reason_of_its_own() -> None:
    """A MemoryError is told apart: the limit may be too low."""

    def hungry() -> Report:
        raise MemoryError("3 GiB")

    assert run(hungry).reason == "out_of_memory"


def test_a_report_stays_small() -> None:
    """Words are cut, so that a report is sent in one piece."""
    report = run(lambda: Report("error", "x" * 10_000, "y" * 10_000))

    assert (len(report.message), len(report.detail)) == (MESSAGE_LENGTH, DETAIL_LENGTH)


def test_a_session_is_lowered_when_its_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's refusal to users who ask too often is waited out."""

    class Autogroup:
        """A kernel that takes the third request."""

        asked = 0
        niceness = ""

        def write_text(self, text: str, encoding: str) -> None:
            assert encoding == "ascii"
            self.asked += 1
            if self.asked < 3:
                raise BlockingIOError
            self.niceness = text

    autogroup = Autogroup()
    monkeypatch.setattr(child, "AUTOGROUP", autogroup)
    monkeypatch.setattr(child, "AUTOGROUP_PAUSE_S", 0.0)

    child._set_autogroup_nice()

    assert ("19", 3) == (autogroup.niceness, autogroup.asked)
