"""One job of the pool: its order, its log lines, its record, its signal."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import structlog

from backend.plugins import Host
from backend.signals import Signal, TtsWritten, emit
from plugins.waves import worker
from plugins.waves.files import paths
from plugins.waves.jobs import record
from plugins.waves.pool import Outcome, identity
from plugins.waves.settings import WavesSettings
from plugins.waves.signals import (
    DROPPED,
    Reason,
    WaveSet,
    WavesFailed,
    WavesWritten,
    waves_failed,
    waves_written,
)

log = structlog.get_logger(__name__)

SENDER = "waves"
FIGURES = ("rmse", "nrmse", "snr_db", "envelope_correlation", "clipped_samples", "voiced_ratio")
"""What the worker reports of a set; the signal, the record and the log all say it."""


@dataclass(slots=True, eq=False)
class WavesContext:
    """What all jobs share."""

    host: Host
    settings: WavesSettings
    loop: asyncio.AbstractEventLoop | None
    """Where signals are sent; None: nobody listens."""
    app_version: str = field(default_factory=record.app_version)
    recording: threading.Lock = field(default_factory=threading.Lock)
    """`session.json` has one writer at a time."""

    def announce(self, event: WavesWritten | WavesFailed) -> None:
        """Send a signal on the event loop's thread, unless the loop is closed."""
        if self.loop is None:
            return
        signal: Signal[Any] = waves_written if isinstance(event, WavesWritten) else waves_failed
        try:
            self.loop.call_soon_threadsafe(emit, signal, SENDER, event)
        except RuntimeError:
            log.warning(
                "the event loop is closed; nobody was told",
                signal=signal.name,
                input_path=str(event.source.wav_path),
            )


@dataclass(slots=True, eq=False)
class WaveJob:
    """One `tts_written` on its way to one of the two outcomes; see `plugins.waves.pool.job.Work`.

    A job of the backfill that is dropped sends no signal: its recording is found again. Neither
    does one that was to add sets to those that stand, and made none.
    """

    path: str
    event: TtsWritten
    context: WavesContext
    backfill: bool = False
    on_end: "OnEnd | None" = None
    """Called last: `on_end(self, reason, message, outcome)`; `reason` is empty after success, and
    otherwise that of the first set that failed."""
    profiles: tuple[str, ...] = ()
    """Those whose waves are to be made; none: all that are wanted."""

    def __post_init__(self) -> None:
        """Name the profiles."""
        self.profiles = self.profiles or self.context.settings.profiles

    def begin(self, queued_ms: float) -> worker.Order:
        """Log the start; return what the worker gets."""
        targets, settings = self._targets(), self.context.settings
        log.info(
            "decomposition started",
            **self._log_fields(),
            output_dir=str(targets[0].parent),
            queued_ms=round(queued_ms, 1),
        )
        return worker.Order(
            wav_path=self.path,
            directory=str(targets[0].parent),
            temporary=str(self.context.host.artifacts.temporary),
            root=str(self.context.host.artifacts.root),
            max_duration_s=settings.max_duration_s,
            engine=settings.engine,
            slot_id=self.event.slot_id,
            profiles=tuple((name, settings.of_profile(name)) for name in self.profiles),
        )

    def end(self, outcome: Outcome) -> None:
        """Record and log the end, then send its one signal, whatever failed before."""
        is_told = not (self.backfill and outcome.reason in DROPPED)
        reason, message = outcome.reason, outcome.message
        event: WavesWritten | WavesFailed | None
        try:
            reason, message, event = self._concluded(outcome, is_told)
        except Exception as error:
            log.exception("the end of a decomposition could not be handled", **self._log_fields())
            reason = reason or "error"
            message = message or f"{type(error).__name__}: {error}"
            event = self._failed(reason, message, outcome)
        try:
            if is_told and event is not None:
                self.context.announce(event)
        finally:
            if self.on_end is not None:
                self.on_end(self, reason, message, outcome)

    def _concluded(
        self, outcome: Outcome, is_told: bool
    ) -> tuple[str, str, WavesWritten | WavesFailed | None]:
        """Record and log how it ended; return what failed and why, and what is to be announced."""
        reason, message = outcome.reason, outcome.message
        if not reason:
            sets = [self._set(one) for one in cast("Any", outcome.report.data["sets"])]
            if (kept := self._keep(sets, outcome)) is not None:
                failed = next((one for one in sets if one.reason), record.WaveSet())
                return failed.reason or "", failed.message or "", self._written(kept, outcome)
            reason, message = "session_gone", "the session was deleted while its waves were made"
        if is_told:
            self._keep_failure(reason, message, outcome)
        return reason, message, self._failed(reason, message, outcome)

    def _failed(self, reason: str, message: str, outcome: Outcome) -> WavesFailed | None:
        """Return what is announced of a failure; None if the waves of V3 stand."""
        if "v3" not in self.profiles:
            return None
        word, times = cast("Reason", reason), _times(outcome)
        return WavesFailed(self.event, word, message, **times, backfill=self.backfill)

    def _set(self, made: dict[str, Any]) -> record.WaveSet:
        """Return what the worker reports of a set as the record has it."""
        files = tuple(
            record.WaveEntry(self.context.host.artifacts.relative(Path(path)), *figures)
            for path, *figures in made["files"]
        )
        return record.WaveSet(**{**made, "files": files})

    def _keep(self, sets: Sequence[record.WaveSet], outcome: Outcome) -> record.Utterance | None:
        """Record and log the waves; take them back and return None if their session is gone."""
        data: dict[str, Any] = dict(outcome.report.data)
        for warning in data["warnings"]:
            log.warning("the recording is odd", **self._log_fields(), warning=warning)
        lengths = {name: data[name] for name in ("duration_s", "sample_rate")}
        kept = self._record(sets, outcome, **lengths)
        if kept is None:
            root = self.context.host.artifacts.root
            _take_back([root / file.path for one in sets for file in one.files])
            return None
        for one in sets:
            if one.reason:
                log.error("a profile failed", **self._log_fields(), profile=one.profile,
                          reason=one.reason, message=one.message)  # fmt: skip
                continue
            log.info(
                "decomposition finished",
                **self._log_fields(),
                profile=one.profile,
                output_dir=self._output_dir(),
                **_times(outcome),
                **{name: round(getattr(one, name) or 0, 6) for name in FIGURES},
                attempts=outcome.attempts,
            )
        return kept

    def _written(self, kept: record.Utterance, outcome: Outcome) -> WavesWritten | None:
        """Return what is announced of an utterance; None if nothing was made."""
        data: dict[str, Any] = dict(outcome.report.data)
        new = {one["profile"] for one in data["sets"]}
        by_profile = kept.by_profile()
        wanted = [one for one in self.context.settings.profiles if one in by_profile]
        sets = [self._told(by_profile[one], one in new) for one in wanted]
        if wanted[:1] != ["v3"] or not [one for one in sets if one.is_new and one.files]:
            return None
        first = sets[0]
        return WavesWritten(
            self.event, first.files, first.rmse, data["duration_s"], data["sample_rate"],
            first.clipped_samples, first.voiced_ratio, data["frames"],
            cast("Any", first.peaks), cast("Any", first.rms),
            **_times(outcome), backfill=self.backfill, sets=tuple(sets),
        )  # fmt: skip

    def _told(self, one: record.WaveSet, is_new: bool) -> WaveSet:
        """Return a set as the signal has it."""
        root = self.context.host.artifacts.root
        return WaveSet(
            one.profile,
            tuple(root / file.path for file in one.files),
            one.targets or (0,) * len(one.files),
            tuple(file.peak or 0.0 for file in one.files),
            tuple(file.rms or 0.0 for file in one.files),
            **{name: getattr(one, name) or 0 for name in FIGURES},
            problem=one.message or "",
            is_new=is_new,
        )

    def _keep_failure(self, reason: str, message: str, outcome: Outcome) -> None:
        if reason in DROPPED:
            log.warning("utterance dropped", **self._log_fields(), reason=reason, message=message)
            return
        log.error(
            "decomposition failed",
            **self._log_fields(),
            output_dir=self._output_dir(),
            reason=reason,
            message=message,
            **_times(outcome),
            attempts=outcome.attempts,
            traceback=outcome.report.detail or None,
        )
        if reason != "session_gone":
            known = {"reason": reason, "message": message, **self._identity(outcome)}
            sets = [record.WaveSet(profile=one, **known) for one in self.profiles]
            self._record(sets, outcome)

    def _record(
        self, sets: Sequence[record.WaveSet], outcome: Outcome, **lengths: Any
    ) -> record.Utterance | None:
        """Write the utterance into `session.json`; return it, or None if its session is gone."""
        artifacts = self.context.host.artifacts
        utterance = record.Utterance(
            source=artifacts.relative(self.event.wav_path),
            app_version=self.context.app_version,
            finished_at=record.now(),
            sets=tuple(sets),
            **lengths,
            **_times(outcome),
        )
        try:
            with self.context.recording:
                return record.record(artifacts, self.event.session_id, utterance)
        except Exception:
            log.exception("the outcome could not be recorded", **self._log_fields())
            return utterance

    def _identity(self, outcome: Outcome) -> dict[str, Any]:
        """Return which contents were refused, if the worker says it is for good, or crashed."""
        if outcome.reason == "crashed" and (crashed := identity(self.path)) is not None:
            return {"source_mtime_ns": crashed[0], "source_size": crashed[1]}
        names = ("source_size", "source_mtime_ns")
        return {name: outcome.report.data[name] for name in names if name in outcome.report.data}

    def _log_fields(self) -> dict[str, object]:
        """Return what every log line about an utterance names; never its words."""
        marked: dict[str, object] = {"backfill": True} if self.backfill else {}
        return {
            "session_id": self.event.session_id,
            "turn_index": self.event.turn_index,
            "slot_id": self.event.slot_id,
            "input_path": self.path,
            **marked,
        }

    def _targets(self) -> paths.Targets:
        return paths.session_targets(self.event.wav_path, self.context.host.artifacts.root)

    def _output_dir(self) -> str | None:
        try:
            return str(self._targets()[0].parent)
        except Exception:  # noqa: BLE001 - the path is what is wrong then, and is in the log line
            return None


OnEnd = Callable[[WaveJob, str, str, Outcome], None]


def _take_back(files: Sequence[Path]) -> None:
    """Remove the waves of a session that is gone, and its directories if nothing else is there."""
    with suppress(OSError):
        for file in files:
            file.unlink(missing_ok=True)
        for file in files[:1]:
            file.parent.rmdir()
            file.parent.parent.rmdir()


def _times(outcome: Outcome) -> dict[str, Any]:
    return {
        "queued_ms": round(outcome.queued_ms, 1),
        "running_ms": round(outcome.running_ms, 1),
    }
