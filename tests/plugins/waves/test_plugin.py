"""The plugin on the bus: signals in, log lines, record and signals out."""

import asyncio
import errno
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any, NoReturn

import numpy as np
import pytest
import soundfile as sf
import structlog
from structlog.testing import capture_logs

from backend.config import Settings
from backend.http.app import create_app
from backend.logs.setup import unfailing
from backend.plugins import Host, discover
from backend.signals import TtsWritten, emit, tts_written
from backend.storage import Artifacts
from plugins.waves import worker
from plugins.waves.jobs import WaveJob, WavesContext, record
from plugins.waves.jobs.search import Search
from plugins.waves.plugin import _warn_if_small, lifespan
from plugins.waves.pool import Outcome
from plugins.waves.process import Report
from plugins.waves.settings import WavesSettings
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed, waves_written
from tests.failing import failing_at
from tests.live import LiveServer, chat
from tests.patience import LIMIT_S, SOON_S, until
from tests.plugins.waves.pool import tasks as jobs

Event = WavesWritten | WavesFailed


class Listener:
    """Receives both outcomes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()
        self._arrived = asyncio.Event()

    def __call__(self, sender: object, *, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())
        self._arrived.set()

    async def wait_for(self, count: int) -> list[Event]:
        """Wait until `count` outcomes have come."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.events) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.events


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """Return an artifacts root of its own."""
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers do what the name of a recording says instead of a real decomposition."""
    monkeypatch.setattr(worker, "decompose", jobs.decompose)
    monkeypatch.setattr(worker, "warm_up", jobs.warm_up_like_waves)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Listen to both outcomes."""
    one = Listener()
    with waves_written.connected_to(one), waves_failed.connected_to(one):
        yield one


@asynccontextmanager
async def running(artifacts: Artifacts, **settings: Any) -> AsyncIterator[list[tuple[str, str]]]:
    """Run the plugin, without its backfill unless asked for; yield the states it reports."""
    settings.setdefault("backfill_interval_s", 0)
    states: list[tuple[str, str]] = []
    host = Host(artifacts, lambda state, reason: states.append((state, reason)))
    async with lifespan(host, WavesSettings(**settings)):
        yield states


def utterance(artifacts: Artifacts, name: str, turn: int = 1) -> TtsWritten:
    """Return the event of a recording, which stands there as a short tone."""
    path = artifacts.turn("tts", "session-1", turn) / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(11025) / 22050
    sf.write(path, 0.3 * np.sin(2 * np.pi * 150 * times), 22050)
    relative = artifacts.relative(path)
    now = datetime.now(UTC)
    return TtsWritten("session-1", turn, "response", 3, "gpt", "calm", None, path, relative, now)


def install_tides(folder: Path, code: str) -> None:
    """Write a package with the profile `tides` into a folder."""
    (folder / "tides.py").write_text(code, encoding="utf-8")
    info = folder / "tides-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tides\nVersion: 1.0\n")
    points = "[reflective_resonance.profiles]\ntides = tides:profile\n"
    (info / "entry_points.txt").write_text(points)


def send(event: TtsWritten) -> None:
    """Send `tts_written` as the workflow does."""
    emit(tts_written, "workflow", event)


@pytest.mark.e2e
async def test_a_real_recording_gets_its_three_waves(
    artifacts: Artifacts, listener: Listener
) -> None:
    """A finished WAV becomes three waves, a record, one line at start and end, and one signal."""
    event = utterance(artifacts, "slot-3_gpt_calm", turn=2)

    with capture_logs() as logs:
        async with running(artifacts, max_workers=1) as states:
            send(event)
            (done,) = await listener.wait_for(1)

    assert isinstance(done, WavesWritten)
    turn = artifacts.turn("waves", "session-1", 2)
    assert done.files == tuple(turn / f"slot-3_gpt_calm_v3_wave{n}.wav" for n in (1, 2, 3))
    assert [sf.info(file).frames for file in done.files] == [4000] * 3
    assert (done.source, done.sample_rate, done.duration_s) == (event, 8000, 0.5)
    assert states == [("warming", "the workers are starting"), ("ok", "")]
    recorded = json.loads((turn.parent / "session.json").read_text())["utterances"]
    assert [item["status"] for item in recorded] == ["written"]
    start, end = (entry for entry in logs if entry["event"].startswith("decomposition"))
    for line in (start, end):
        assert line["log_level"] == "info"
        assert (line["session_id"], line["turn_index"], line["slot_id"]) == ("session-1", 2, 3)
        assert line["input_path"] == str(event.wav_path)
        assert line["output_dir"] == str(turn)
        assert line["queued_ms"] >= 0
    assert end["running_ms"] > 0
    assert end["rmse"] == round(done.rmse, 6)
    assert end["clipped_samples"] == done.clipped_samples


@pytest.mark.e2e
async def test_profiles_are_made_beside_v3(
    artifacts: Artifacts, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its files, dishes and figures; one that fails is named, and V3's waves stand."""
    install_tides(tmp_path, "profile = 'no profile'")
    monkeypatch.syspath_prepend(tmp_path)
    profiles = ("v3", "slots", "tides", "faraday")
    event = utterance(artifacts, "slot-3_gpt_calm")

    with capture_logs() as logs:
        async with running(artifacts, max_workers=1, profiles=profiles):
            send(event)
            (done,) = await listener.wait_for(1)

    assert isinstance(done, WavesWritten)
    v3, slots, tides, faraday = done.sets
    turn = artifacts.turn("waves", "session-1", 1)
    names = sorted(path.name.removeprefix("slot-3_gpt_calm_") for path in turn.iterdir())
    assert ["faraday_wave1.wav", "slots_wave1.wav", "slots_wave2.wav"] == names[:3]
    assert [f"v3_wave{number}.wav" for number in (1, 2, 3)] == names[3:]
    assert ((3, 4), (3,)) == (slots.target_slot_ids, faraday.target_slot_ids)
    assert 0.5 < slots.envelope_correlation <= 1
    assert slots.nrmse > 0
    assert ((), "ProfileError: tides:profile is no Profile") == (tides.files, tides.problem)
    assert ["tides"] == [line["profile"] for line in logs if line["log_level"] == "error"]
    (kept,) = record.read(artifacts, "session-1").values()
    assert ["v3", "slots", "tides", "faraday"] == [one.profile for one in kept.sets]
    assert artifacts.relative(faraday.files[0]) == kept.sets[3].files[0].path
    assert (done.files, done.rms, done.rmse) == (v3.files, v3.rms, v3.rmse)
    assert v3.envelope_correlation > 0.9


@pytest.mark.e2e
@pytest.mark.faults
async def test_a_profile_that_ends_its_worker_costs_its_own_waves_alone(
    artifacts: Artifacts, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are made in a second attempt and announced once; nothing is left to do then."""
    install_tides(
        tmp_path,
        "import os\nfrom plugins.waves.profiles import Profile\n"
        "profile = Profile(lambda voice, numbers: os.abort(), lambda slot_id: (0,))\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    profiles = ("v3", "tides", "faraday")

    with capture_logs() as logs:
        async with running(artifacts, max_workers=1, profiles=profiles, job_timeout_s=LIMIT_S):
            send(utterance(artifacts, "slot-3_gpt_calm"))
            await listener.wait_for(1)
            assert [] == list(Search(artifacts, profiles).run())

    (done,) = listener.events
    assert isinstance(done, WavesWritten)
    v3, tides, faraday = done.sets
    assert [3, 0, 1] == [len(one.files) for one in (v3, tides, faraday)]
    words = "ProfileError: left out, since a worker ended with it: killed by SIGABRT"
    assert words == tides.problem
    assert ["tides"] == [line["profile"] for line in logs if line["log_level"] == "error"]
    (kept,) = record.read(artifacts, "session-1").values()
    assert ("written", "error") == (kept.status, kept.by_profile()["tides"].reason)


@pytest.mark.e2e
@pytest.mark.faults
async def test_the_first_start_ever(
    artifacts: Artifacts, listener: Listener, tmp_path: Path
) -> None:
    """F27: with nothing compiled yet jobs are accepted at once, wait, and none is lost.

    Each module is compiled once, before the first worker starts, and the log says so.
    """
    events = [utterance(artifacts, f"slot-{n}_gpt_calm") for n in range(1, 7)]

    with capture_logs() as logs:
        async with running(artifacts, max_workers=2, kernel_cache=tmp_path / "cache") as states:
            for event in events:
                send(event)
            assert {state for state, _ in states} == {"warming"}
            done = await listener.wait_for(len(events))

    assert {type(outcome) for outcome in done} == {WavesWritten}
    assert {id(outcome.source) for outcome in done} == {id(event) for event in events}
    compiled = [entry["event"] for entry in logs if ": compiling " in entry["event"]]
    assert len(compiled) == len(set(compiled)) == 5
    assert {entry["log_level"] for entry in logs} <= {"debug", "info"}


@pytest.mark.usefixtures("stand_in")
async def test_outcomes_are_sent_on_the_event_loop(
    artifacts: Artifacts, listener: Listener
) -> None:
    """Both signals are sent on the event loop's thread."""
    async with running(artifacts):
        send(utterance(artifacts, "good"))
        send(utterance(artifacts, "invalid"))
        await listener.wait_for(2)

    assert listener.threads == {threading.get_ident()}


@pytest.mark.faults
@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("segfault", "crashed"),
        pytest.param("raise_error", "error", marks=pytest.mark.e2e),
        ("invalid", "invalid_audio"),
        pytest.param("hold_the_gil-60", "timeout", marks=pytest.mark.e2e),
        pytest.param("run_out_of_memory", "out_of_memory", marks=pytest.mark.e2e),
    ],
)
async def test_a_failure_is_one_error_with_full_context(
    artifacts: Artifacts, listener: Listener, name: str, reason: str
) -> None:
    """F01 F08 F12: a failed utterance is one ERROR, one signal, no file; the next one is done."""
    bad, good = utterance(artifacts, name), utterance(artifacts, "good")

    with capture_logs() as logs:
        limit_s = 10 if reason == "timeout" else LIMIT_S
        async with running(artifacts, max_workers=1, job_timeout_s=limit_s, memory_limit_mb=512):
            send(bad)
            send(good)
            failed, done = await listener.wait_for(2)

    assert isinstance(failed, WavesFailed)
    assert (failed.source, failed.reason) == (bad, reason)
    assert failed.message
    assert isinstance(done, WavesWritten)
    (error,) = (entry for entry in logs if entry["log_level"] == "error")
    assert error["event"] == "decomposition failed"
    assert (error["session_id"], error["turn_index"], error["slot_id"]) == ("session-1", 1, 3)
    assert error["input_path"] == str(bad.wav_path)
    assert error["output_dir"] == str(artifacts.turn("waves", "session-1", 1))
    assert (error["reason"], error["message"]) == (reason, failed.message)
    assert error["running_ms"] > 0
    assert not list(artifacts.root.glob(f"waves/**/{name}*"))


@pytest.mark.faults
@pytest.mark.usefixtures("stand_in")
async def test_a_full_queue_drops_with_a_warning(artifacts: Artifacts, listener: Listener) -> None:
    """F15: each refused utterance is a WARNING naming the file and a `waves_failed(queue_full)`."""
    events = [utterance(artifacts, f"sleep-60-{n}") for n in range(10)]

    with capture_logs() as logs:
        async with running(artifacts, queue_max_size=2, max_workers=2, stop_limit_s=0):
            begun, started = perf_counter(), thread_time()
            for event in events:
                send(event)
            busy_s, elapsed_s = thread_time() - started, perf_counter() - begun
            refused = list(await listener.wait_for(6))

    assert {event.reason for event in refused if isinstance(event, WavesFailed)} == {"queue_full"}
    warnings = [entry["input_path"] for entry in logs if entry.get("reason") == "queue_full"]
    assert sorted(warnings) == sorted(str(event.source.wav_path) for event in refused)
    assert len(listener.events) == len(events), "each utterance ends in exactly one signal"
    assert busy_s < 0.5
    assert elapsed_s < SOON_S


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.usefixtures("stand_in")
async def test_a_log_that_raises_costs_nobody_anything(
    artifacts: Artifacts, listener: Listener
) -> None:
    """F33: with a log that raises at every line, every utterance still ends in its signal."""

    def broken(*_: object) -> NoReturn:
        raise ValueError("I/O operation on closed file")

    before = structlog.get_config()
    structlog.configure(processors=[broken], wrapper_class=unfailing("debug"))
    try:
        async with running(artifacts, max_workers=1, queue_max_size=1):
            for name in ("segfault", "good", "dropped"):
                send(utterance(artifacts, name))
            events = await listener.wait_for(3)
    finally:
        structlog.configure(**before)

    reasons = {event.source.wav_path.stem: getattr(event, "reason", "") for event in events}
    assert reasons == {"segfault": "crashed", "good": "", "dropped": "queue_full"}


@pytest.mark.usefixtures("stand_in")
async def test_stopping_unsubscribes_first_and_ends_every_utterance(
    artifacts: Artifacts, listener: Listener
) -> None:
    """After the plugin stopped, every accepted utterance has its signal, and none is accepted."""
    async with running(artifacts, max_workers=1, stop_limit_s=0):
        for n in range(5):
            send(utterance(artifacts, f"sleep-60-{n}"))
        connected = len(list(tts_written.receivers_for("workflow")))
    send(utterance(artifacts, "late"))

    assert [getattr(event, "reason", "") for event in listener.events] == ["stopped"] * 5
    assert connected == 1
    assert list(tts_written.receivers_for("workflow")) == []


@pytest.mark.e2e
@pytest.mark.faults
async def test_a_dead_pool_is_degraded_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """F13: with no worker to be had the plugin is degraded, the host ready, the visitor served."""
    monkeypatch.setattr(worker, "warm_up", jobs.refuse_to_start_like_waves)
    app = create_app(Settings(artifacts_dir=tmp_path, seed=1), discover())

    def ask() -> tuple[dict[str, Any], dict[str, Any], list[str]]:
        with LiveServer(app) as server, server.client() as client:
            session = [name for name, _ in chat(server, 1)]

            def is_ready() -> dict[str, Any]:
                answer: dict[str, Any] = client.get("/v1/health/ready").raise_for_status().json()
                return answer

            until(lambda: is_ready()["plugins"]["waves"]["state"] != "warming", "a state")
            return client.get("/v1/health").raise_for_status().json(), is_ready(), session

    alive, ready, session = await asyncio.to_thread(ask)

    assert alive == {"status": "ok"}
    assert ready["status"] == "ready"
    waves = ready["plugins"]["waves"]
    assert waves["state"] == "degraded"
    assert waves["reason"].endswith("of 2 workers cannot start: no module named 'sound'")
    assert "slot.audio" in session
    assert "slot.error" not in session


@pytest.mark.usefixtures("stand_in")
async def test_a_path_outside_the_layout_is_an_error(
    artifacts: Artifacts, listener: Listener, tmp_path: Path
) -> None:
    """A recording that is not where recordings stand is refused, not decomposed elsewhere."""
    event = utterance(artifacts, "good")
    stray = TtsWritten(
        "session-1", 1, "response", 3, "a", "v", None, tmp_path / "x.wav", "x", event.written_at
    )

    async with running(artifacts):
        send(stray)
        (failed,) = await listener.wait_for(1)

    assert isinstance(failed, WavesFailed)
    assert failed.reason == "error"
    assert "turn_<N>" in failed.message


@pytest.mark.usefixtures("stand_in")
async def test_a_deleted_session_is_not_brought_back(
    artifacts: Artifacts, listener: Listener
) -> None:
    """Waves for a session that was deleted meanwhile are reported as such, and not recorded."""
    event = utterance(artifacts, "good")
    event.wav_path.unlink()
    event.wav_path.parent.rmdir()
    event.wav_path.parent.parent.rmdir()

    async with running(artifacts):
        send(event)
        (failed,) = await listener.wait_for(1)

    assert isinstance(failed, WavesFailed)
    assert failed.reason == "session_gone"
    assert not (artifacts.sessions("waves") / "session-1").exists()


@pytest.mark.usefixtures("stand_in")
async def test_a_record_that_cannot_be_written_is_logged(
    artifacts: Artifacts, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waves are announced even if the record cannot be written; that is one ERROR."""

    def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(record, "record", full)

    with capture_logs() as logs:
        async with running(artifacts):
            send(utterance(artifacts, "good"))
            (done,) = await listener.wait_for(1)

    assert isinstance(done, WavesWritten)
    errors = [entry["event"] for entry in logs if entry["log_level"] == "error"]
    assert errors == ["the outcome could not be recorded"]


OF_THE_END = {f"plugins.waves.{name}" for name in ("jobs.wave_job", "jobs.record", "files.paths")}


@pytest.mark.faults
@pytest.mark.parametrize("backfill", [False, True])
@pytest.mark.parametrize("reason", ["", "invalid_audio", "crashed", "queue_full", "session_gone"])
async def test_whatever_step_of_an_end_raises(
    artifacts: Artifacts, listener: Listener, reason: str, backfill: bool
) -> None:
    """Whichever call at the end of a job raises, one signal comes, and its owner is told once."""
    event = utterance(artifacts, "good")
    context = WavesContext(
        Host(artifacts, lambda *_: None), WavesSettings(), asyncio.get_running_loop(), "1"
    )
    made = jobs.decompose(WaveJob(str(event.wav_path), event, context).begin(0.0))
    outcome = Outcome(reason, reason and "why", Report() if reason else made)
    silent = backfill and reason == "queue_full"
    ends: list[str] = []

    def on_end(_: WaveJob, reason: str, *__: object) -> None:
        ends.append(reason)

    failures: list[str] = []
    for number in count(1):
        one = WaveJob(str(event.wav_path), event, context, backfill, on_end)
        with capture_logs(), failing_at(number, OF_THE_END, {"end", "announce"}) as failed:
            thread = threading.Thread(target=one.end, args=(outcome,))
            thread.start()
            await asyncio.to_thread(thread.join)
        assert len(ends) == number
        if not failed:
            break
        failures += failed
    await listener.wait_for(0 if silent else len(ends))

    assert [getattr(e, "reason", "") for e in listener.events] == ([] if silent else ends)
    assert ends[-1] == reason
    assert len(failures) > (2 if reason == "queue_full" else 5)


@pytest.mark.usefixtures("stand_in")
async def test_what_is_odd_about_a_recording_is_a_warning(
    artifacts: Artifacts, listener: Listener
) -> None:
    """A recording that is accepted with a reservation is named in a WARNING."""
    event = utterance(artifacts, "odd")

    with capture_logs() as logs:
        async with running(artifacts):
            send(event)
            await listener.wait_for(1)

    (entry,) = (entry for entry in logs if entry["log_level"] == "warning")
    assert (entry["warning"], entry["input_path"]) == ("an odd byte", str(event.wav_path))


def test_a_closed_loop_hears_nothing_and_nothing_raises(
    artifacts: Artifacts, listener: Listener
) -> None:
    """An outcome that comes after the event loop was closed is a WARNING, not an exception."""
    event = utterance(artifacts, "good")
    loop = asyncio.new_event_loop()
    loop.close()
    context = WavesContext(Host(artifacts, lambda state, reason: None), WavesSettings(), loop, "1")

    with capture_logs() as logs:
        context.announce(WavesFailed(event, "stopped", "too late", 0.0, 0.0))

    (entry,) = logs
    assert (entry["log_level"], entry["input_path"]) == ("warning", str(event.wav_path))
    assert listener.events == []


@pytest.mark.e2e
def test_the_server_side_never_imports_what_workers_need() -> None:
    """The plugin in the server imports neither librosa nor numba nor scipy."""
    code = (
        "import sys, plugins.waves.plugin\n"
        "heavy = {'librosa', 'numba', 'scipy', 'soxr'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize(("sessions", "warns"), [(4, False), (12, True)])
def test_a_queue_that_is_too_small_for_the_sessions_is_named(sessions: int, warns: bool) -> None:
    """With both settings, and how many utterances all sessions may have at once."""
    with capture_logs() as logs:
        _warn_if_small(WavesSettings(), sessions)

    named = [
        (one["RR_WAVES_QUEUE_MAX_SIZE"], one["RR_MAX_SESSIONS"], one["needed"]) for one in logs
    ]
    assert ([(128, 12, 228)] if warns else []) == named
