"""What is counted, and under which labels."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from backend.plugins import Host
from backend.signals import (
    SessionFinished,
    SessionStarted,
    TtsWritten,
    emit,
    session_finished,
    session_started,
    tts_written,
)
from backend.storage import Artifacts
from plugins.metrics.plugin import lifespan
from plugins.metrics.recorder import Recorder
from plugins.metrics.settings import MetricsSettings
from plugins.waves.signals import WavesFailed, waves_failed, waves_written
from tests.plugins.metrics.expositions import Figures
from tests.simulated import done, with_slots

NOW = datetime.now(UTC)
SPOKEN = TtsWritten("s", 1, "response", 1, "gpt-4o", "calm", None, Path("a.wav"), "tts/a.wav", NOW)
WRITTEN = replace(done(SPOKEN), duration_s=2.0, queued_ms=40, running_ms=80)


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    """Return the registry of a recorder that listens."""
    registry = CollectorRegistry()
    with Recorder(registry).listening():
        yield registry


def figures(registry: CollectorRegistry) -> Figures:
    return Figures(generate_latest(registry).decode())


def test_sessions_that_run_are_those_begun_and_not_ended(registry: CollectorRegistry) -> None:
    """Of two sessions one has ended, so one is running."""
    for name in ("a", "b"):
        emit(session_started, None, SessionStarted(name, (1,), NOW))
    emit(session_finished, None, SessionFinished("a", (), NOW))

    shown = figures(registry)

    assert 2 == shown.value("sessions_started_total")
    assert 1 == shown.value("sessions_finished_total")
    assert 1 == shown.value("sessions_running")


def test_waves_made_up_for_later_are_not_timed(registry: CollectorRegistry) -> None:
    """Waves of the backfill are counted, and leave the times alone."""
    emit(waves_written, None, replace(WRITTEN, backfill=True))

    shown = figures(registry)

    assert {"backfill": 1} == shown.by("made", "waves_written_total")
    assert 0 == shown.value("waves_ready_seconds_count")
    assert {} == shown.by("stage", "waves_stage_seconds_count")


def test_a_clock_that_jumps_is_not_counted(registry: CollectorRegistry) -> None:
    """Waves are timed by what the pool has measured, not by the stamp of their speech."""
    spoken = replace(SPOKEN, written_at=datetime(1970, 1, 1, tzinfo=UTC))
    emit(waves_written, None, replace(WRITTEN, source=spoken))

    assert 0.12 == pytest.approx(figures(registry).value("waves_ready_seconds_sum"))


def test_what_nobody_knows_is_other(registry: CollectorRegistry) -> None:
    """Kinds and reasons from outside their sets share one label."""
    strangers: list[Any] = ["one", "another", ""]
    for stranger in strangers:
        emit(tts_written, None, replace(SPOKEN, kind=stranger))
        emit(waves_failed, None, WavesFailed(SPOKEN, stranger, "m", 0, 0))

    shown = figures(registry)

    assert {"other": 3} == shown.by("kind", "utterances_total")
    assert {"other": 3} == shown.by("reason", "waves_failed_total")


@pytest.mark.parametrize("reason", ["queue_full", "stopped", "quarantined"])
def test_what_was_not_tried_is_a_drop(registry: CollectorRegistry, reason: Any) -> None:
    """A refused utterance is a drop and no failure."""
    emit(waves_failed, None, WavesFailed(SPOKEN, reason, "m", 0, 0))

    shown = figures(registry)

    assert {reason: 1} == shown.by("reason", "waves_dropped_total")
    assert {} == shown.by("reason", "waves_failed_total")


def test_nothing_is_counted_after_the_end() -> None:
    """A recorder that no longer listens has no receiver left."""
    registry = CollectorRegistry()
    with Recorder(registry).listening():
        emit(waves_written, None, WRITTEN)
    emit(waves_written, None, WRITTEN)

    assert {"live": 1} == figures(registry).by("made", "waves_written_total")


async def test_every_start_counts_anew(tmp_path: Path) -> None:
    """Figures are those of one start, in no registry that outlives it."""
    host = Host(Artifacts(tmp_path), lambda state, reason: None)
    counted = []
    for _ in range(2):
        async with lifespan(host, MetricsSettings()) as metrics:
            emit(session_started, None, SessionStarted("a", (1,), NOW))
            counted.append(Figures((await metrics.exposition()).decode()))

    assert [1, 1] == [shown.value("sessions_started_total") for shown in counted]
    assert not session_started.receivers
    assert not [family for family in REGISTRY.collect() if "resonance" in family.name]


def test_how_near_waves_are_is_shown_by_profile(registry: CollectorRegistry) -> None:
    """Of each set that was made; one that stood already is counted once."""
    both = with_slots(replace(WRITTEN, files=(Path("a_v3_wave1.wav"),), sets=()))
    emit(waves_written, None, both)
    v3, slots = both.sets
    emit(waves_written, None, replace(both, backfill=True, sets=(replace(v3, is_new=False), slots)))

    shown = figures(registry)

    assert {"v3": 1, "slots": 2} == shown.by("profile", "waves_nrmse_count")
    assert 1.6 == pytest.approx(shown.value("waves_nrmse_sum", profile="slots"))
    assert 2 == shown.value("waves_snr_db_bucket", profile="slots", le="2.0")
    assert 0 == shown.value("waves_snr_db_bucket", profile="slots", le="1.0")
    assert 1 == shown.value("waves_envelope_correlation_bucket", profile="v3", le="0.0")
    assert {"live": 1} == shown.by("made", "waves_written_total")
