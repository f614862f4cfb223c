"""What the waves plugin tells: every utterance handed to it ends in exactly one of two signals."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.signals import EVENT_LOOP, WorkDone, WorkFailed, define

Reason = Literal[
    "queue_full",
    "stopped",
    "no_worker",
    "invalid_audio",
    "timeout",
    "crashed",
    "killed",
    "quarantined",
    "out_of_memory",
    "publish_failed",
    "session_gone",
    "not_recorded",
    "error",
]
"""Why there are no waves: refused (`queue_full`, `stopped`, `quarantined`, `no_worker`: none can be
started on this machine), the recording's fault (`invalid_audio`), the worker's (`timeout`,
`crashed`, `out_of_memory`, `error`), the machine's (`killed`: from outside, time after time), the
disk's (`publish_failed`), there is nobody left to
have them (`session_gone`), or a replay was recorded without them (`not_recorded`)."""

DROPPED: tuple[Reason, ...] = ("queue_full", "stopped", "quarantined", "no_worker")
"""Reasons that say nothing about a decomposition, since there was none: a WARNING each."""


@dataclass(frozen=True, slots=True)
class WaveSet:
    """The waves of an utterance by one profile; a figure that is not known is 0."""

    profile: str
    files: tuple[Path, ...]
    """Whole and in place; none if it failed."""
    target_slot_ids: tuple[int, ...] = ()
    """The dish that each file is for; 0: any."""
    peaks: tuple[float, ...] = ()
    rms: tuple[float, ...] = ()
    rmse: float = 0.0
    nrmse: float = 0.0
    """Distance of the sum of the waves from the voice, over the voice's standard deviation."""
    snr_db: float = 0.0
    envelope_correlation: float = 0.0
    """Of the sum of the waves with the voice."""
    clipped_samples: int = 0
    voiced_ratio: float = 0.0
    problem: str = ""
    """Why it failed."""
    is_new: bool = True
    """Whether it was made now; it stood already if only other sets were missing."""


@dataclass(frozen=True, slots=True)
class WavesWritten(WorkDone):
    """Payload of `waves_written`; `files` are wave 1, 2 and 3 of V3, whole and in place.

    What it says of V3 besides is in the first of its `sets`, too.
    """

    rmse: float
    duration_s: float
    sample_rate: int
    clipped_samples: int
    voiced_ratio: float
    frames: int
    """Samples of each wave."""
    peaks: tuple[float, float, float]
    """Largest absolute sample of each wave, full scale being 1."""
    rms: tuple[float, float, float]
    """Root mean square of each wave, full scale being 1."""
    queued_ms: float
    running_ms: float
    backfill: bool = False
    """Whether these were made up for later; nobody waits for them then."""
    sets: tuple[WaveSet, ...] = ()
    """What each profile of `RR_WAVES_PROFILES` made, V3 first."""

    def __post_init__(self) -> None:
        """Make the set of V3 if there is none, as in recordings of earlier versions."""
        if not self.sets:
            first = WaveSet(
                "v3", self.files, (0,) * len(self.files), self.peaks, self.rms, self.rmse,
                clipped_samples=self.clipped_samples, voiced_ratio=self.voiced_ratio,
            )  # fmt: skip
            object.__setattr__(self, "sets", (first,))


@dataclass(frozen=True, slots=True)
class WavesFailed(WorkFailed):
    """Payload of `waves_failed`: no waves are announced.

    None of V3's three files stands there; only if its worker was killed just when it had published
    them do all three, and the backfill records them without a signal.
    """

    reason: Reason
    queued_ms: float
    running_ms: float
    backfill: bool = False
    """Whether this was an attempt to make up for waves that were missing."""


waves_written = define(
    "waves_written",
    WavesWritten,
    "The three files of an utterance's waves are complete, in place and recorded.",
    sender="plugin waves",
    thread=EVENT_LOOP,
)
waves_failed = define(
    "waves_failed",
    WavesFailed,
    "It is certain that an utterance gets no waves: refused, failed or given up.",
    sender="plugin waves",
    thread=EVENT_LOOP,
)
outcomes = (waves_written, waves_failed)
