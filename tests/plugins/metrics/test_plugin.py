"""`GET /metrics` of a real server with real waves, read by Prometheus's own parser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import discover
from backend.signals import TtsWritten, tts_written
from plugins.metrics import disk
from plugins.metrics.plugin import Metrics
from tests import readme
from tests.live import LiveServer, chat
from tests.patience import LIMIT_S
from tests.plugins.metrics.expositions import Figures
from tests.test_acceptance import Watch, stopped_workers

pytestmark = pytest.mark.e2e

CAPACITY = 6
UTTERANCES = 6
"""Of a session of two slots."""
SERIES = {
    "heard_seconds": "histogram",
    "sessions_started": "counter",
    "sessions_finished": "counter",
    "sessions_running": "gauge",
    "utterances": "counter",
    "waves_written": "counter",
    "waves_dropped": "counter",
    "waves_failed": "counter",
    "waves_stage_seconds": "histogram",
    "waves_ready_seconds": "histogram",
    "waves_nrmse": "histogram",
    "waves_snr_db": "histogram",
    "waves_envelope_correlation": "histogram",
    "plugin_state": "gauge",
    "plugin_waves_queued": "gauge",
    "plugin_waves_workers": "gauge",
    "memory_bytes": "gauge",
    "disk_bytes": "gauge",
    "disk_files": "gauge",
    "disk_age_seconds": "gauge",
}


def create(root: Path, *names: str) -> LiveServer:
    """Return a server with some of the installed plugins."""
    found = [item for item in discover() if item.name in names]
    return LiveServer(create_app(Settings(artifacts_dir=root, seed=1), found))


def scrape(server: LiveServer) -> Figures:
    """Read the figures as Prometheus does."""
    with server.client() as client:
        answer = client.get("/metrics")
    assert 200 == answer.status_code
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["content-type"]
    assert "_created" not in answer.text
    return Figures(answer.text)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts root of the server."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LiveServer]:
    """Return a server with one worker and room for the utterances of one session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "WAIT_S", LIMIT_S)
        patch.setenv("RR_WAVES_MAX_WORKERS", "1")
        patch.setenv("RR_WAVES_JOB_TIMEOUT_S", str(LIMIT_S))  # the worker is stopped for a while
        patch.setenv("RR_WAVES_QUEUE_MAX_SIZE", str(CAPACITY - 1))
        patch.setenv("RR_WAVES_BACKFILL_INTERVAL_S", "0")
        with create(root, "waves", "metrics") as live:
            yield live


@pytest.fixture(scope="module")
def session(server: LiveServer) -> tuple[Figures, str, Watch, Figures]:
    """Return the figures before a session, the session's id, its outcomes, and the figures."""
    before, watch = scrape(server), Watch()
    with watch.watching():
        events = chat(server, 1, 2)
        watch.wait_for_outcomes(UTTERANCES)
    return before, events[0][1]["sessionId"], watch, scrape(server)


def test_every_figure_is_there_from_the_start(
    session: tuple[Figures, str, Watch, Figures],
) -> None:
    """Before the first visitor each figure stands there with its type and its help."""
    before, *_ = session

    assert SERIES == {name: family.type for name, family in before.families.items()}
    assert all(family.documentation for family in before.families.values())
    described = readme.section("plugins/metrics/README.md", "Figures")
    assert [] == [name for name in SERIES if f"`{name}" not in described]
    assert 0 == before.value("sessions_started_total")
    assert 0 == before.value("waves_dropped_total", reason="queue_full")


def test_a_session_is_counted(session: tuple[Figures, str, Watch, Figures]) -> None:
    """Sessions, utterances by kind and waves are those of the session."""
    _, _, _, figures = session

    assert 1 == figures.value("sessions_started_total") == figures.value("sessions_finished_total")
    assert 0 == figures.value("sessions_running")
    assert {"response": 2, "comment": 2, "reply": 2} == figures.by("kind", "utterances_total")
    assert {"live": UTTERANCES} == figures.by("made", "waves_written_total")
    assert {} == figures.by("reason", "waves_failed_total")


def test_each_stage_is_timed(session: tuple[Figures, str, Watch, Figures]) -> None:
    """Each utterance is timed in each stage, by the times that its signal tells."""
    _, _, watch, figures = session

    counts = figures.by("stage", "waves_stage_seconds_count")
    sums = figures.by("stage", "waves_stage_seconds_sum")
    told = {
        "queued_to_started": sum(event.queued_ms for event in watch.outcomes) / 1000,
        "started_to_ready": sum(event.running_ms for event in watch.outcomes) / 1000,
    }
    stages = set(told)
    assert dict.fromkeys(stages, UTTERANCES) == counts
    assert told == {name: pytest.approx(sums[name]) for name in told}
    assert UTTERANCES == figures.value("waves_ready_seconds_count")
    assert figures.value("waves_ready_seconds_sum") > 0.99 * sum(told.values())


def test_plugins_and_their_gauges_are_told(session: tuple[Figures, str, Watch, Figures]) -> None:
    """Each plugin has one state; the queue and the workers are what the waves show."""
    _, _, _, figures = session

    shown = {
        sample.labels["plugin"]: sample.labels["state"]
        for sample in figures.families["plugin_state"].samples
        if sample.value
    }
    assert {"metrics", "waves"} == shown.keys()
    assert "ok" == shown["metrics"]
    assert shown["waves"] in {"ok", "degraded"}  # the latter for a minute after a refusal
    assert 0 == figures.value("plugin_waves_queued")
    assert 1 == figures.value("plugin_waves_workers")


def test_the_disk_is_measured(
    session: tuple[Figures, str, Watch, Figures],
    server: LiveServer,
    root: Path,
) -> None:
    """Bytes and files of speech and waves are those that are there."""
    service: Metrics = server.app.state.hosting.board.service("metrics")
    service.disk.usage = None  # the last one may be of before the session

    figures = scrape(server)

    for tree in ("tts", "waves"):
        files = [path for path in (root / tree).rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) == figures.value("disk_bytes", tree=tree)
        assert len(files) == figures.value("disk_files", tree=tree)


def test_no_label_grows_with_the_show(
    session: tuple[Figures, str, Watch, Figures], server: LiveServer
) -> None:
    """After sessions there are the series there were at the start; none names a session."""
    before, session_id, _, after = session

    assert before.samples.keys() == after.samples.keys()
    assert session_id not in str(after.samples)


@pytest.mark.usefixtures("session")  # its counts are of a server that has had nothing else
def test_drops_are_counted(server: LiveServer) -> None:
    """Utterances that found the queue full are drops, not failures."""
    before, watch = scrape(server), Watch()

    with watch.watching():
        with stopped_workers():
            chat(server, 1, 2)
            chat(server, 1, 2)
            watch.wait_for_outcomes(UTTERANCES)
            full = scrape(server)
        watch.wait_for_outcomes(2 * UTTERANCES)
    after = scrape(server)

    assert CAPACITY - 1 <= full.value("plugin_waves_queued") <= CAPACITY
    assert {"queue_full": 2 * UTTERANCES - CAPACITY} == after.by("reason", "waves_dropped_total")
    assert before.by("reason", "waves_failed_total") == after.by("reason", "waves_failed_total")


@pytest.mark.usefixtures("session")
def test_failures_are_counted_by_reason(server: LiveServer) -> None:
    """A recording that cannot be read is one failure, under its reason."""
    watch = Watch()

    def damage(_: object, *, event: TtsWritten) -> None:
        event.wav_path.write_bytes(b"water")

    with watch.watching(), tts_written.connected_to(damage):
        with stopped_workers():
            chat(server, 3)
        watch.wait_for_outcomes(1)

    assert {"invalid_audio": 1} == scrape(server).by("reason", "waves_failed_total")
