"""One job of the pool: its order, its log lines, its record, its signal."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
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
    ProfileWaves,
    Reason,
    WavesFailed,
    WavesWritten,
    waves_failed,
    waves_written,
)

log = structlog.get_logger(__name__)

SENDER = "waves"
FIGURES = ("duration_s", "sample_rate", "rmse", "clipped_samples", "voiced_ratio")
"""What the worker reports, and a signal and a record both say."""
PROFILE_FIGURES = ("clipped_samples", "nrmse", "snr_db", "envelope_correlation", "problem")
"""What the signal says of a further profile."""


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

    A job of the backfill that is dropped sends no signal: its recording is found again.
    """

    path: str
    event: TtsWritten
    context: WavesContext
    backfill: bool = False
    on_end: "OnEnd | None" = None
    """Called last: `on_end(self, reason, message, outcome)`; `reason` is empty after success."""

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
            profiles=tuple((name, settings.of_profile(name)) for name in settings.profiles),
        )

    def end(self, outcome: Outcome) -> None:
        """Record and log the end, then send its one signal, whatever failed before."""
        is_told = not (self.backfill and outcome.reason in DROPPED)
        event: WavesWritten | WavesFailed
        try:
            event = self._concluded(outcome, is_told)
        except Exception as error:
            log.exception("the end of a decomposition could not be handled", **self._log_fields())
            reason = cast("Reason", outcome.reason or "error")
            message = outcome.message or f"{type(error).__name__}: {error}"
            event = self._failed(reason, message, outcome)
        failed = event if isinstance(event, WavesFailed) else None
        try:
            if is_told:
                self.context.announce(event)
        finally:
            if self.on_end is not None:
                message = failed.message if failed else ""
                self.on_end(self, failed.reason if failed else "", message, outcome)

    def _concluded(self, outcome: Outcome, is_told: bool) -> WavesWritten | WavesFailed:
        """Record and log how it ended; return what is to be announced."""
        reason, message = outcome.reason, outcome.message
        if not reason:
            if (written := self._keep(outcome)) is not None:
                return written
            reason, message = "session_gone", "the session was deleted while its waves were made"
        failed = self._failed(cast("Reason", reason), message, outcome)
        if is_told:
            self._keep_failure(failed, outcome)
        return failed

    def _failed(self, reason: Reason, message: str, outcome: Outcome) -> WavesFailed:
        times = _times(outcome)
        return WavesFailed(self.event, reason, message, **times, backfill=self.backfill)

    def _keep(self, outcome: Outcome) -> WavesWritten | None:
        """Record and log the waves; take them back and return None if their session is gone."""
        data: dict[str, Any] = dict(outcome.report.data)
        figures = {name: data[name] for name in FIGURES}
        times = _times(outcome)
        names, *_, peaks, rms = zip(*data["files"], strict=True)
        first, second, third = files = [Path(name) for name in names]
        for warning in data["warnings"]:
            log.warning("the recording is odd", **self._log_fields(), warning=warning)
        more = [self._of_profile(one) for one in data["more"]]
        if not self._record("written", data["files"], **figures, **times, profiles=data["more"]):
            _take_back([*files, *(path for one in more for path in one.files)])
            return None
        log.info(
            "decomposition finished",
            **self._log_fields(),
            output_dir=str(first.parent),
            **times,
            rmse=round(data["rmse"], 6),
            clipped_samples=data["clipped_samples"],
            attempts=outcome.attempts,
        )
        return WavesWritten(
            self.event, (first, second, third), peaks=peaks, rms=rms, frames=data["frames"],
            **figures, **times, backfill=self.backfill, profiles=tuple(more),
        )  # fmt: skip

    def _of_profile(self, made: dict[str, Any]) -> ProfileWaves:
        """Log what a further profile made, or why it made nothing; return it for the signal."""
        said = {name: value for name, value in made.items() if name != "files"}
        names, *_, peaks, rms = zip(*made["files"], strict=True) if made["files"] else ((), (), ())
        if "problem" in said:
            log.error("a profile failed", **self._log_fields(), **said)
        else:
            log.info("waves of a profile written", **self._log_fields(), **said)
        return ProfileWaves(
            said["profile"], tuple(map(Path, names)), tuple(said["targets"]), peaks, rms,
            **{name: said[name] for name in PROFILE_FIGURES if name in said},
        )  # fmt: skip

    def _keep_failure(self, failed: WavesFailed, outcome: Outcome) -> None:
        reason, message = failed.reason, failed.message
        if reason in DROPPED:
            log.warning("utterance dropped", **self._log_fields(), reason=reason, message=message)
            return
        times = _times(outcome)
        log.error(
            "decomposition failed",
            **self._log_fields(),
            output_dir=self._output_dir(),
            reason=reason,
            message=message,
            **times,
            attempts=outcome.attempts,
            traceback=outcome.report.detail or None,
        )
        if reason != "session_gone":
            self._record(
                "failed",
                reason=reason,
                message=message,
                **self._identity(outcome),
                **times,
            )

    def _record(
        self,
        status: record.Status,
        published: Sequence[tuple[Any, ...]] = (),
        profiles: Sequence[dict[str, Any]] = (),
        **fields: Any,
    ) -> bool:
        """Write the utterance into `session.json`; tell whether its session still exists."""
        artifacts = self.context.host.artifacts

        def entries(files: Sequence[tuple[Any, ...]]) -> tuple[record.WaveEntry, ...]:
            return tuple(
                record.WaveEntry(artifacts.relative(Path(path)), *figures)
                for path, *figures in files
            )

        try:
            utterance = record.Utterance(
                source=artifacts.relative(self.event.wav_path),
                status=status,
                app_version=self.context.app_version,
                finished_at=record.now(),
                files=entries(published),
                profiles=tuple(
                    {**one, "files": [asdict(file) for file in entries(one["files"])]}
                    for one in profiles
                ),
                **fields,
            )
            with self.context.recording:
                return record.record(artifacts, self.event.session_id, utterance)
        except Exception:
            log.exception("the outcome could not be recorded", **self._log_fields())
            return True

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
        files[0].parent.rmdir()
        files[0].parent.parent.rmdir()


def _times(outcome: Outcome) -> dict[str, Any]:
    return {
        "queued_ms": round(outcome.queued_ms, 1),
        "running_ms": round(outcome.running_ms, 1),
    }
