"""When a session was written: by its record, and by no clock that went wrong."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.storage import Artifacts, Tree
from plugins.retention.survey import Survey
from tests.plugins.retention.stores import age, store

YEARS_S = 5 * 365 * 86_400.0
AHEAD = (datetime.now(UTC) + timedelta(seconds=YEARS_S)).isoformat()


def ages(artifacts: Artifacts, *, read_only: bool = False, tree: Tree = "tts") -> dict[str, float]:
    """Return the ages in seconds that a new process sees."""
    found = Survey(artifacts, read_only=read_only).look(tree)
    return {one.session_id: time.time() - one.written_at_s for one in found}


def note(directory: Path, name: str = "session.json", **record: Any) -> None:
    """Write the record of a session, as old as its other files."""
    before = next(directory.glob("*/*.wav")).stat().st_mtime
    (directory / name).write_text(json.dumps(record))
    os.utime(directory / name, (before, before))


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("session.json", {"started_at": "2020-01-01T00:00:00+00:00", "finished_at": "{moment}"}),
        ("session.json", {"utterances": [{"written_at": "{moment}"}, {"finished_at": None}, 3]}),
        ("metadata.json", {"heard_at": "{moment}"}),
    ],
)
def test_its_record_says_how_old_a_session_is(
    artifacts: Artifacts, name: str, record: dict[str, Any]
) -> None:
    """A copy of the files is not younger than the session, nor is one with wrong stamps older."""
    (directory,) = store(artifacts, "a", "tts")
    (directory / "session.json").unlink()
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    note(directory, name, **json.loads(json.dumps(record).replace("{moment}", an_hour_ago)))

    assert {"a": pytest.approx(3600, abs=60)} == ages(artifacts)


def test_a_stamp_ahead_of_now_counts_as_now_and_then_ages(artifacts: Artifacts) -> None:
    """Also after a restart, and with the record dated ahead too; one line says it."""
    for name in ("a", "b"):
        (directory,) = store(artifacts, name, "tts", age_s=-YEARS_S)
        note(directory, started_at=AHEAD, finished_at=None)
        age(directory, -YEARS_S)

    with capture_logs() as logs:
        first = ages(artifacts)
    age(artifacts.session("tts", "a"), 3600)  # an hour later

    assert {"a": pytest.approx(0, abs=60), "b": pytest.approx(0, abs=60)} == first
    assert [["a", "b"]] == [sorted(line["sessions"]) for line in logs]
    assert {"a": pytest.approx(3600, abs=60), "b": pytest.approx(0, abs=60)} == ages(artifacts)


def test_a_look_that_changes_nothing_leaves_the_stamps(artifacts: Artifacts) -> None:
    """`prune --dry-run` only tells."""
    (directory,) = store(artifacts, "a", "tts", age_s=-YEARS_S)
    age(directory, -YEARS_S)
    before = directory.stat().st_mtime

    assert {"a": pytest.approx(0, abs=60)} == ages(artifacts, read_only=True)
    assert before == directory.stat().st_mtime
