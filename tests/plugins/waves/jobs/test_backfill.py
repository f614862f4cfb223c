"""The backfill beside the live path, with real recordings and real workers."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Host
from backend.plugins.testing import threads_that_stay
from backend.signals import TtsWritten, emit, tts_written
from backend.storage import Artifacts
from plugins.waves import worker
from plugins.waves.files import paths
from plugins.waves.jobs import WavesContext, backfill, record
from plugins.waves.jobs.sources import source_of
from plugins.waves.pool import Pool, disk_space
from plugins.waves.settings import WavesSettings
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed, waves_written
from tests.live import LiveServer
from tests.patience import LIMIT_S
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.pool.pools import Asked, Gate, all_ready
from tests.plugins.waves.pool.pools import running as running_pool
from tests.plugins.waves.speeches import check_all_whole, left, set_age, speak
from tests.plugins.waves.test_plugin import Listener, running

EVERY_S = 0.2
"""Between two searches."""


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def listener() -> Iterator[Listener]:
    one = Listener()
    with waves_written.connected_to(one), waves_failed.connected_to(one):
        yield one


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have each decomposition counted in a file, one line each."""
    monkeypatch.setattr(worker, "decompose", jobs.count_and_decompose)
    return tmp_path / "counted"


async def until(condition: Any) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the disk
            await asyncio.sleep(0.02)


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file."""
    return path.read_text().splitlines()


def live(artifacts: Artifacts, path: Path) -> TtsWritten:
    """Announce a recording as the workflow does."""
    event = source_of(path, artifacts)
    emit(tts_written, "workflow", event)
    return event


@pytest.mark.e2e
@pytest.mark.faults
async def test_what_was_missed_is_made_up_for(artifacts: Artifacts, listener: Listener) -> None:
    """F24: recordings of earlier runs get their waves at start, marked as backfill, and a set that
    stood unrecorded is recorded without being made again.
    """
    stood, missed, cut = (speak(artifacts, f"slot-{n}_gpt_calm") for n in (1, 2, 3))
    async with running(artifacts):
        for path in (stood, cut):
            live(artifacts, path)
        await listener.wait_for(2)
    targets = paths.session_targets(stood, artifacts.root)
    before = [target.stat().st_ino for target in targets]
    paths.session_targets(cut, artifacts.root)[0].unlink()
    record.path_of(artifacts, "session-1").unlink()
    listener.events.clear()

    with capture_logs() as logs:
        async with running(artifacts, backfill_interval_s=60):
            events = list(await listener.wait_for(2))
            await until(lambda: not left(artifacts))

    assert 3 == check_all_whole(artifacts)
    assert {missed, cut} == {event.source.wav_path for event in events}
    assert all(isinstance(event, WavesWritten) and event.backfill for event in events)
    speakers = {(e.source.slot_id, e.source.agent_id, e.source.voice_profile) for e in events}
    assert {(2, "gpt", "calm"), (3, "gpt", "calm")} == speakers
    assert before == [target.stat().st_ino for target in targets]
    told = [entry for entry in logs if entry["event"] == "decomposition finished"]
    assert [True, True] == [entry["backfill"] for entry in told]


@pytest.mark.e2e
async def test_a_profile_that_is_switched_on_later(
    artifacts: Artifacts, listener: Listener
) -> None:
    """Its waves are made of all that was spoken before, and nothing else."""
    path = speak(artifacts, "slot-1_gpt_calm")
    async with running(artifacts):
        live(artifacts, path)
        await listener.wait_for(1)
    targets = paths.session_targets(path, artifacts.root)
    before = [target.stat() for target in targets]

    async with running(artifacts, profiles=("v3", "faraday"), backfill_interval_s=EVERY_S):
        _, later = await listener.wait_for(2)
        speak(artifacts, "slot-2_gpt_calm")
        await listener.wait_for(3)

    assert isinstance(later, WavesWritten)
    assert [("v3", False), ("faraday", True)] == [(one.profile, one.is_new) for one in later.sets]
    assert before == [target.stat() for target in targets]
    assert [2, 2] == [len(event.sets) for event in listener.events[1:]]  # type: ignore[union-attr]  # written


@pytest.mark.e2e
@pytest.mark.faults
async def test_live_and_backfill_at_once(
    artifacts: Artifacts, listener: Listener, counted: Path
) -> None:
    """F16: a recording that the live path and the backfill bring at once is decomposed once."""
    recordings = [speak(artifacts, f"slot-{n}_gpt_calm") for n in range(1, 6)]

    async with running(artifacts, backfill_interval_s=EVERY_S):
        for path in recordings:
            live(artifacts, path)
        await listener.wait_for(5)
        await until(lambda: not left(artifacts))

    assert sorted(map(str, recordings)) == sorted(lines_of(counted))
    assert 5 == check_all_whole(artifacts)
    announced = [event.source.wav_path for event in listener.events if not event.backfill]
    assert sorted(recordings) == sorted(announced), "each live utterance ends in one signal"


@pytest.mark.e2e
async def test_a_drop_is_made_up_for(
    artifacts: Artifacts, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a full queue dropped is found soon after, long before the next search is due."""
    monkeypatch.setattr(backfill, "MIN_AGE_S", 0.1)
    recordings = [speak(artifacts, f"slot-{n}_gpt_calm", age_s=0) for n in range(1, 9)]
    for path in recordings:
        set_age(path, -3600)  # as by a clock that was set back
        path.rename(path.with_suffix(".held"))

    async with running(
        artifacts, backfill_interval_s=3600, queue_max_size=1, max_workers=1, stop_limit_s=0
    ):
        for path in recordings:
            path.with_suffix(".held").rename(path)
            live(artifacts, path)
        await until(lambda: not left(artifacts))

    dropped = [event for event in listener.events if isinstance(event, WavesFailed)]
    assert {"queue_full"} == {event.reason for event in dropped}
    assert 8 == check_all_whole(artifacts)


@pytest.mark.e2e
async def test_the_live_path_has_its_time(
    artifacts: Artifacts, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording of this moment is left to the live path, however often it is found."""
    monkeypatch.setattr(backfill, "MIN_AGE_S", 3600.0)

    async with running(artifacts, backfill_interval_s=EVERY_S):
        young = speak(artifacts, "young", age_s=0)
        for n in range(3):
            late = speak(artifacts, f"late-{n}", age_s=7200)
            await until(partial(_is_recorded, artifacts, late))

    assert young not in [event.source.wav_path for event in listener.events]
    assert [("young", "pending")] == left(artifacts)


@pytest.mark.e2e
@pytest.mark.faults
async def test_refused_and_quarantined_recordings_are_left_alone(
    artifacts: Artifacts, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F14: what was refused for what it holds, or crashed two workers, is not tried again."""
    monkeypatch.setattr(backfill, "FIRST_BACK_OFF_S", 0.0)
    monkeypatch.setattr(worker, "decompose", jobs.decompose_or_crash)
    bad, deadly = speak(artifacts, "bad"), speak(artifacts, "segfault")
    bad.write_bytes(b"no audio")
    set_age(bad, 60)

    async with running(artifacts, backfill_interval_s=EVERY_S):
        await listener.wait_for(2)
        for n in range(5):  # five more searches have come by
            late = speak(artifacts, f"late-{n}")
            await until(partial(_is_recorded, artifacts, late))
        shutil.copy(late, bad)
        await until(partial(_is_recorded, artifacts, bad))

    failed = {e.source.wav_path: e.reason for e in listener.events if isinstance(e, WavesFailed)}
    assert {bad: "invalid_audio", deadly: "crashed"} == failed
    assert 2 == sum(isinstance(event, WavesFailed) for event in listener.events)


@pytest.mark.e2e
@pytest.mark.faults
async def test_what_crashed_is_left_alone_after_a_restart_too(
    artifacts: Artifacts, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F14: a start knows what crashed two workers within a day and says so; a new version tries."""
    monkeypatch.setattr(worker, "decompose", jobs.decompose)
    monkeypatch.setattr(worker, "warm_up", jobs.warm_up_like_waves)
    speak(artifacts, "segfault")

    async with running(artifacts, backfill_interval_s=EVERY_S, max_workers=1):
        await listener.wait_for(1)
    async with running(artifacts, backfill_interval_s=EVERY_S, max_workers=1) as states:
        await until(lambda: "1 set aside" in states[-1][1])
    told = len(listener.events)
    monkeypatch.setattr(record, "app_version", lambda: "the next")
    async with running(artifacts, backfill_interval_s=EVERY_S, max_workers=1):
        await listener.wait_for(2)

    assert (told, states[-1][0]) == (1, "ok")
    assert ["crashed", "crashed"] == [getattr(event, "reason", "") for event in listener.events]


def _is_recorded(artifacts: Artifacts, path: Path) -> bool:
    """Tell whether the waves of a recording are written down."""
    try:
        known = record.read(artifacts, "session-1").get(artifacts.relative(path))
    except FileNotFoundError:
        return False
    return known is not None and known.status == "written"


@pytest.mark.e2e
async def test_what_failed_for_a_while_is_tried_less_and_less_often(
    artifacts: Artifacts, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure that may pass is tried again, after twice the time of before."""
    monkeypatch.setattr(backfill, "FIRST_BACK_OFF_S", 0.1)
    monkeypatch.setattr(worker, "decompose", jobs.decompose)
    monkeypatch.setattr(worker, "warm_up", jobs.warm_up_like_waves)
    speak(artifacts, "raise_error")
    times: list[float] = []
    announce = WavesContext.announce

    def timed(context: WavesContext, *outcome: Any) -> None:
        times.append(monotonic())  # on the pool's thread, where the pause begins a moment later
        announce(context, *outcome)

    monkeypatch.setattr(WavesContext, "announce", timed)

    async with running(artifacts, backfill_interval_s=0.02):
        await listener.wait_for(5)

    pauses = [after - before for before, after in pairwise(times[:5])]
    assert pauses[3] >= 0.8, pauses
    assert {"error"} == {getattr(event, "reason", "") for event in listener.events}


@pytest.mark.e2e
async def test_once_a_disk_is_freed_what_failed_is_made_at_once(
    artifacts: Artifacts, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits out its pause, nor for the next search."""
    free_mb = 1_000
    usage = shutil.disk_usage(artifacts.root.parent)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: usage._replace(free=free_mb * disk_space.MEGABYTE)
    )
    monkeypatch.setattr(worker, "decompose", jobs.decompose)
    monkeypatch.setattr(worker, "warm_up", jobs.warm_up_like_waves)
    speak(artifacts, "raise_error")

    async with running(artifacts, backfill_interval_s=3_600, max_workers=1) as states:
        await listener.wait_for(1)
        free_mb = 12
        await until(lambda: "less than 200 MB free" in states[-1][1])
        free_mb = 1_000
        await listener.wait_for(2)

    assert {"error"} == {getattr(event, "reason", "") for event in listener.events}


def test_a_failure_is_forgotten_with_its_recording(artifacts: Artifacts, tmp_path: Path) -> None:
    """A search that has no time for everything forgets what is gone, and nothing else."""
    kept, gone = speak(artifacts, "slot-1_gpt_calm"), str(tmp_path / "gone.wav")
    context = WavesContext(Host(artifacts, lambda state, reason: None), WavesSettings(), None)
    search = backfill.Backfill(
        context, Pool(jobs.decompose, lanes=1, queue_max_size=1, timeout_s=1)
    )
    search._failures |= dict.fromkeys([str(kept.parent), gone], (1, 0.0))

    search._search_once()

    assert {str(kept.parent)} == search._failures.keys()


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.parametrize("case", ["queued", "read", "published"])
async def test_a_session_that_is_deleted(
    artifacts: Artifacts, listener: Listener, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """F26: a session deleted while it waits, is read or has just been published stays deleted."""
    tasks = {
        "queued": jobs.count_and_decompose,
        "read": jobs.lose_the_session_while_reading,
        "published": jobs.lose_the_session_after_publishing,
    }
    monkeypatch.setattr(worker, "decompose", tasks[case])
    path = speak(artifacts, "slot-1_gpt_calm")

    async with running(artifacts, max_workers=1):
        event = source_of(path, artifacts)
        if case == "queued":
            shutil.rmtree(path.parents[1])
        emit(tts_written, "workflow", event)
        (failed,) = await listener.wait_for(1)

    assert isinstance(failed, WavesFailed)
    assert "session_gone" == failed.reason
    assert [] == [entry for entry in artifacts.root.rglob("*session-1*") if entry.exists()]
    assert [] == list(artifacts.temporary.iterdir())


@pytest.mark.e2e
@pytest.mark.faults
async def test_a_corrupt_manifest_and_record_cost_nothing(
    artifacts: Artifacts, listener: Listener
) -> None:
    """F32: with both session.json corrupt, the files alone lead to complete and recorded waves."""
    done, missed = speak(artifacts, "slot-1_gpt_calm"), speak(artifacts, "slot-2_gpt_calm")
    async with running(artifacts):
        live(artifacts, done)
        await listener.wait_for(1)
    record.path_of(artifacts, "session-1").write_bytes(b"\0" * 100)
    (missed.parents[1] / "session.json").write_bytes(b'{"utterances": [')

    async with running(artifacts, backfill_interval_s=60):
        await until(lambda: not left(artifacts))

    aside = record.path_of(artifacts, "session-1").with_name("session.json.corrupt-1")
    assert b"\0" * 100 == aside.read_bytes()
    assert 2 == check_all_whole(artifacts)
    assert [done, missed] == [event.source.wav_path for event in listener.events]


@pytest.mark.e2e
@pytest.mark.faults
async def test_stopping_during_a_backfill(artifacts: Artifacts, listener: Listener) -> None:
    """F28: a stop with hundreds of recordings left is quick, loses nothing and tells nobody."""
    for n in range(200):
        speak(artifacts, f"slot-{n}_gpt_calm")

    before, starting = threading.enumerate(), monotonic()
    async with running(artifacts, backfill_interval_s=60, stop_limit_s=1):
        await listener.wait_for(1)
        started = monotonic()
    elapsed_s = monotonic() - started

    assert elapsed_s < 8 + started - starting, "on a busy machine a start takes long, too"
    assert {"stopped"} >= {e.reason for e in listener.events if isinstance(e, WavesFailed)}
    assert [] == threads_that_stay(before)
    written = sum(isinstance(event, WavesWritten) for event in listener.events)
    assert 200 - len(left(artifacts)) >= written > 0


@pytest.mark.faults
@pytest.mark.parametrize("live_first", [True, False])
def test_one_path_from_both_sides(tmp_path: Path, live_first: bool) -> None:
    """F16: a path that both sides submit is one job, with the right of way of the live one."""
    gate, ran = Gate(tmp_path / "gate"), tmp_path / "ran"
    with running_pool(1) as pool:
        all_ready(pool, 1)
        busy = Asked("busy.wav", "pass_gate", gate.path)
        pool.submit(busy)
        other = Asked("other.wav", "append", str(ran), "other")
        pool.submit(other, live=False)
        both = [Asked("same.wav", "append", str(ran), "same") for _ in range(2)]
        for work, is_live in zip(both, (live_first, not live_first), strict=True):
            assert pool.submit(work, live=is_live)
        gate.open()
        values = [job.value() for job in (*both, other)]
    gate.close()

    assert ["same", "same", "other"] == values
    assert ["same", "other"] == lines_of(ran)


def test_a_live_job_takes_the_place_of_a_backfill_job(tmp_path: Path) -> None:
    """A full queue has room for a live utterance as long as a backfill job waits in it."""
    gate = Gate(tmp_path / "gate")
    with running_pool(1, queue_max_size=2) as pool:
        all_ready(pool, 1)
        busy = Asked("busy.wav", "pass_gate", gate.path)
        pool.submit(busy)
        assert busy.begun.wait(LIMIT_S)
        old, older = Asked("old.wav", "echo", "old"), Asked("older.wav", "echo", "older")
        pool.submit(old, live=False)
        pool.submit(older, live=False)
        visitors = [Asked(f"live-{n}.wav", "echo", str(n)) for n in range(3)]

        accepted = [pool.submit(visitor) for visitor in visitors]

        reasons = [job.outcome().reason for job in (older, old, visitors[2])]
        gate.open()
        values = [visitor.value() for visitor in visitors[:2]]
    gate.close()

    assert [True, True, False] == accepted
    assert ["queue_full"] * 3 == reasons
    assert ["0", "1"] == values


@pytest.mark.parametrize("queue_max_size", [0, 1, 8])
def test_room_for_backfill(tmp_path: Path, queue_max_size: int) -> None:
    """Backfill has room while less than a quarter of the queue waits, or a lane is free."""
    gate = Gate(tmp_path / "gate")
    with running_pool(1, queue_max_size=queue_max_size) as pool:
        all_ready(pool, 1)
        idle = pool.has_room_for_backfill
        room = []
        for n in range(queue_max_size + 1):
            job = Asked(f"{n}.wav", "pass_gate", gate.path)
            pool.submit(job)
            assert n or job.begun.wait(LIMIT_S)
            room.append(pool.has_room_for_backfill)
    gate.close()

    assert idle
    expected = {0: [False], 1: [True, False], 8: [True, True] + [False] * 7}
    assert expected[queue_max_size] == room


@pytest.mark.faults
def test_a_session_deleted_while_its_wave_is_served(tmp_path: Path) -> None:
    """F26: who has begun to read a wave gets all of it; who asks afterwards gets 404."""
    root = tmp_path / "artifacts"
    path = root / "waves" / "sessions" / "session-1" / "turn_1" / "a_v3_wave1.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"RIFF" + bytes(32 * 2**20))
    size = path.stat().st_size
    name = f"/v1/audio/{path.relative_to(root).as_posix()}"

    with (
        LiveServer(create_app(Settings(artifacts_dir=root), [])) as server,
        server.client() as client,
    ):
        with client.stream("GET", name) as response:
            chunks = response.iter_bytes(65_536)
            received = len(next(chunks))
            shutil.rmtree(path.parents[1])
            received += sum(map(len, chunks))
        afterwards = client.get(name)

    assert (200, size) == (response.status_code, received)
    assert 404 == afterwards.status_code
