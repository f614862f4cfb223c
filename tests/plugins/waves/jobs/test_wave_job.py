"""Jobs whose V3 waves stand, and of which only other sets are missing: no pool, a real worker."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from backend.plugins import Host
from backend.storage import Artifacts
from plugins.waves import profiles, worker
from plugins.waves.errors import PublishError
from plugins.waves.files import publishing
from plugins.waves.jobs import Search, WaveJob, WavesContext, prepared, record
from plugins.waves.jobs.sources import source_of
from plugins.waves.pool import Outcome
from plugins.waves.process import Report
from plugins.waves.settings import WavesSettings
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed, waves_written
from tests.plugins.waves.speeches import speak

Event = WavesWritten | WavesFailed
WANTED = ("v3", "slots", "faraday")


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def told() -> Iterator[list[Event]]:
    """What is announced."""
    events: list[Event] = []

    def receive(_: object, *, event: Event) -> None:
        events.append(event)

    with waves_written.connected_to(receive), waves_failed.connected_to(receive):
        yield events


@asynccontextmanager
async def working(
    artifacts: Artifacts, wanted: tuple[str, ...] = WANTED
) -> AsyncIterator[WavesContext]:
    """Return what jobs share; at the end what they announced has been sent."""
    settings = WavesSettings(profiles=wanted)
    yield WavesContext(Host(artifacts, lambda *_: None), settings, asyncio.get_running_loop())
    await asyncio.sleep(0)


async def make(artifacts: Artifacts, path: Path, *wanted: str) -> None:
    """Make waves of an utterance as it is spoken."""
    async with working(artifacts, wanted) as context:
        finish(WaveJob(str(path), source_of(path, artifacts), context))


def finish(job: WaveJob, outcome: Outcome | None = None) -> list[str]:
    """Do a job, or let it end like that; return the reasons that it ends with."""
    ends: list[str] = []
    job.on_end = lambda _, reason, *__: ends.append(reason)
    order = job.begin(0.0)
    if outcome is None:
        report = worker.decompose(order)
        outcome = Outcome(report.reason, report.message, report)
    job.end(outcome)
    return ends


async def make_up_for(
    artifacts: Artifacts, outcome: Outcome | None = None, wanted: tuple[str, ...] = WANTED
) -> list[str]:
    """Have what is missing of the one utterance made; return the reasons that it ends with."""
    async with working(artifacts, wanted) as context:
        (found,) = Search(artifacts, wanted).run()
        return finish(prepared(context, found, lambda *_: None), outcome)


def recorded(artifacts: Artifacts) -> record.Utterance:
    """Return the one utterance that is recorded."""
    (utterance,) = record.read(artifacts, "session-1").values()
    return utterance


async def test_only_what_is_missing_is_made(artifacts: Artifacts, told: list[Event]) -> None:
    """V3's files are not touched; the signal has all sets, and says which are new."""
    await make(artifacts, speak(artifacts, "slot-3_gpt_calm"), "v3")
    (live,) = told
    assert isinstance(live, WavesWritten)
    before = [path.stat() for path in live.files]

    ends = await make_up_for(artifacts)

    done = told[-1]
    assert isinstance(done, WavesWritten)
    assert ([""], True) == (ends, done.backfill)
    assert [("v3", False), ("slots", True), ("faraday", True)] == [
        (one.profile, one.is_new) for one in done.sets
    ]
    assert [0, 0, 0] == [target for one in done.sets[:1] for target in one.target_slot_ids]
    assert (3, 4) == done.sets[1].target_slot_ids
    assert (live.files, live.peaks, live.rmse) == (done.files, done.peaks, done.rmse)
    assert before == [path.stat() for path in done.files]
    assert all(path.is_file() for one in done.sets for path in one.files)
    assert list(WANTED) == [one.profile for one in recorded(artifacts).sets]
    assert [] == list(Search(artifacts, WANTED).run())


async def test_a_set_that_is_made_again_leaves_the_others(
    artifacts: Artifacts, told: list[Event]
) -> None:
    """Of V3 a file is gone: it alone is made, and the others stay recorded."""
    await make(artifacts, speak(artifacts, "slot-3_gpt_calm"), *WANTED)
    (live,) = told
    assert isinstance(live, WavesWritten)
    live.files[1].unlink()

    await make_up_for(artifacts)

    done = told[-1]
    assert isinstance(done, WavesWritten)
    assert [True, False, False] == [one.is_new for one in done.sets]
    assert [] == list(Search(artifacts, WANTED).run())


async def test_a_profile_that_fails_is_told_to_nobody_and_left_alone(
    artifacts: Artifacts, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waves that stand are not announced again; the record says why one set is not there."""
    await make(artifacts, speak(artifacts, "slot-3_gpt_calm"), "v3")
    broken = profiles.Profile(lambda voice, _: np.zeros((1, 1)), lambda _: (1,))
    monkeypatch.setattr(profiles, "find", lambda _: broken)

    ends = await make_up_for(artifacts, wanted=("v3", "slots"))

    v3, slots = recorded(artifacts).sets
    assert (["error"], 1) == (ends, len(told))
    assert ("written", 3) == (recorded(artifacts).status, len(v3.files))
    assert "made an array of (1, 1)" in (slots.message or "")
    assert [] == list(Search(artifacts, ("v3", "slots")).run())


async def test_a_disk_that_fails_is_tried_again(
    artifacts: Artifacts, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may pass is no fault of the recording."""
    await make(artifacts, speak(artifacts, "slot-3_gpt_calm"), "v3")

    def full(*_: object) -> None:
        raise PublishError("ENOSPC")

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "publish", full)
        ends = await make_up_for(artifacts, wanted=("v3", "slots"))
    (found,) = Search(artifacts, ("v3", "slots")).run()

    assert (["publish_failed"], 1, ("slots",)) == (ends, len(told), found.missing)


@pytest.mark.faults
async def test_a_crash_leaves_the_waves_that_stand(artifacts: Artifacts, told: list[Event]) -> None:
    """F14: the set is set aside; V3's stays recorded, and nobody is told that there is none."""
    await make(artifacts, speak(artifacts, "slot-3_gpt_calm"), "v3")

    ends = await make_up_for(artifacts, Outcome("crashed", "twice", Report()))

    (found,) = Search(artifacts, WANTED).run()
    v3, *others = recorded(artifacts).sets
    assert (["crashed"], 1) == (ends, len(told))
    assert (3, ["crashed", "crashed"]) == (len(v3.files), [one.reason for one in others])
    assert ("quarantined", ("slots", "faraday")) == (found.state, found.missing)
    assert found.quarantined_s > 0
    assert [] == list(Search(artifacts).run())


@pytest.mark.faults
async def test_a_session_that_is_deleted_stays_deleted(
    artifacts: Artifacts, told: list[Event]
) -> None:
    """F26: sets that were made for it meanwhile are taken back."""
    path = speak(artifacts, "slot-3_gpt_calm")
    await make(artifacts, path, "v3")
    async with working(artifacts) as context:
        (found,) = Search(artifacts, WANTED).run()
        job = prepared(context, found, lambda *_: None)
        report = worker.decompose(job.begin(0.0))
        for wave in artifacts.session("waves", "session-1").rglob("*_v3_wave?.wav"):
            wave.unlink()
        shutil.rmtree(artifacts.session("tts", "session-1"))
        record.path_of(artifacts, "session-1").unlink()

        ends = finish(job, Outcome("", "", report))

    assert (["session_gone"], 1) == (ends, len(told))
    assert [] == list(artifacts.sessions("waves").iterdir())
