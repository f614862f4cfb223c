"""Counts the signals of sessions, utterances and waves.

The values of a label are the profiles, or a small, fixed set (any other value is counted as
`other`), so that the number of series does not grow while a show runs.

    queued --queued_to_started--> started --started_to_ready--> ready
      `------------------ waves_ready_seconds --------------------'

An utterance is queued as it is spoken; the plugin waves measures, by a clock that nobody sets.
Waves of the backfill are counted, but not timed: nobody waited for them.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from backend.signals import (
    Kind,
    SessionFinished,
    SessionStarted,
    SpeechHeard,
    TtsWritten,
    session_finished,
    session_started,
    speech_heard,
    tts_written,
)
from plugins.waves.signals import (
    DROPPED,
    Reason,
    WavesFailed,
    WavesWritten,
    waves_failed,
    waves_written,
)

PREFIX = "reflective_resonance"
OTHER = "other"
KINDS: tuple[str, ...] = (*get_args(Kind), OTHER)
FAILURES = (*(reason for reason in get_args(Reason) if reason not in DROPPED), OTHER)
SHARES = (0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1, 1.1, 1.2, 1.5, 2)
DECIBELS = (-20, -10, -6, -3, -2, -1, 0, 1, 2, 3, 6, 10, 20)
LIKENESS = {
    "nrmse": ("Distance of the waves from the voice, over its deviation.", SHARES),
    "snr_db": ("Signal to noise in dB, if the waves are to be the voice.", DECIBELS),
    "envelope_correlation": ("Correlation of the loudness of voice and waves.", SHARES),
}
STAGES = ("queued_to_started", "started_to_ready")
BUCKETS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75),
    *(1, 1.5, 2.5, 5, 10, 30, 60),
)


class Recorder:
    """The counters and histograms of one start of the plugin, in `registry`.

    The child of every label is looked up once, here: a receiver delays the visitor's session.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        options: dict[str, Any] = {"namespace": PREFIX, "registry": registry}

        def counters(name: str, doc: str, label: str, values: Iterable[str]) -> dict[str, Counter]:
            parent = Counter(name, doc, (label,), **options)
            return {value: parent.labels(value) for value in values}

        self._heard = Histogram(
            "heard_seconds", "Length of a recording that was understood.", **options
        )
        self._started = Counter("sessions_started", "Sessions begun.", **options)
        self._finished = Counter(
            "sessions_finished", "Sessions ended, cut short or not.", **options
        )
        self._running = Gauge("sessions_running", "Sessions running now.", **options)
        self._utterances = counters("utterances", "Utterances spoken.", "kind", KINDS)
        self._written = counters(
            "waves_written", "Utterances with their waves.", "made", ("live", "backfill")
        )
        self._dropped = counters(
            "waves_dropped", "Utterances dropped: no waves were tried.", "reason", DROPPED
        )
        self._failed = counters(
            "waves_failed", "Utterances whose waves failed.", "reason", FAILURES
        )
        stages = Histogram(
            "waves_stage_seconds",
            "Stage before the waves.",
            ("stage",),
            buckets=BUCKETS_S,
            **options,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._ready = Histogram("waves_ready_seconds", "From speech to waves.", **options)
        self._likeness = {
            name: Histogram(f"waves_{name}", doc, ("profile",), buckets=buckets, **options)
            for name, (doc, buckets) in LIKENESS.items()
        }
        for histogram in self._likeness.values():
            histogram.labels("v3")  # always made; others come with their first waves

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count while the block runs."""
        with ExitStack() as stack:
            for signal, receiver in (
                (speech_heard, self._on_speech_heard),
                (session_started, self._on_session_started),
                (session_finished, self._on_session_finished),
                (tts_written, self._on_tts_written),
                (waves_written, self._on_waves_written),
                (waves_failed, self._on_waves_failed),
            ):
                stack.enter_context(signal.connected_to(receiver))
            yield

    def _on_speech_heard(self, _: object, *, event: SpeechHeard) -> None:
        self._heard.observe(event.duration_s)

    def _on_session_started(self, _: object, *, event: SessionStarted) -> None:  # noqa: ARG002 - blinker's
        self._started.inc()
        self._running.inc()

    def _on_session_finished(self, _: object, *, event: SessionFinished) -> None:  # noqa: ARG002 - blinker's
        self._finished.inc()
        self._running.dec()

    def _on_tts_written(self, _: object, *, event: TtsWritten) -> None:
        self._utterances.get(event.kind, self._utterances[OTHER]).inc()

    def _on_waves_written(self, _: object, *, event: WavesWritten) -> None:
        if event.sets[0].is_new:
            self._written["backfill" if event.backfill else "live"].inc()
        for one in event.sets:
            if one.is_new and one.files:
                for name, histogram in self._likeness.items():
                    histogram.labels(one.profile).observe(getattr(one, name))
        if event.backfill:
            return
        self._stages["queued_to_started"].observe(event.queued_ms / 1000)
        self._stages["started_to_ready"].observe(event.running_ms / 1000)
        self._ready.observe((event.queued_ms + event.running_ms) / 1000)

    def _on_waves_failed(self, _: object, *, event: WavesFailed) -> None:
        dropped = self._dropped.get(event.reason)
        (dropped or self._failed.get(event.reason, self._failed[OTHER])).inc()
