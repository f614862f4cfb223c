"""The task of a waves worker: read a recording, decompose it, publish the three waves, report.

Runs in a child process of the pool; the parent imports this module too, to name its functions. So
the top imports nothing heavy: the audio libraries are imported where they are used, first by
`warm_up`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from plugins.waves.errors import AudioError, PublishError
from plugins.waves.process import Report

if TYPE_CHECKING:
    from plugins.waves.decompose_v3 import Engine


NOT_FINAL = ("missing", "unreadable", "changed")
"""Refusals that say nothing about what the recording holds: another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be decomposed, and where the waves go; sent to a worker."""

    wav_path: str
    targets: tuple[str, str, str]
    temporary: str
    root: str | None
    """The recording must lie below it with every link followed; None: it may lie anywhere."""
    max_duration_s: float
    engine: "Engine"


def warm_up(
    temporary: str,
    engine: "Engine",
    kernel_cache: Path | None,
    first: bool,
    replaced_pid: int | None,
) -> Report:
    """Load or compile all that `decompose` needs; remove what a dead worker half published."""
    started = perf_counter()
    from plugins.waves import decompose_v3
    from plugins.waves.files import publishing
    from plugins.waves.jit import cache

    if kernel_cache is not None:
        os.environ[cache.ROOT_VARIABLE] = str(kernel_cache)
    swept = 0
    if first:
        swept = publishing.sweep(Path(temporary))
    elif replaced_pid is not None:
        swept = publishing.sweep(Path(temporary), pid=replaced_pid)
    used = decompose_v3.warm_up(engine)
    warm_up_ms = round((perf_counter() - started) * 1000, 1)
    return Report(data={"swept": swept, "engine": used, "warm_up_ms": warm_up_ms})


def decompose(order: Order) -> Report:
    """Decompose one recording and publish its waves; report a refusal, do not raise it."""
    from plugins.waves import decompose_v3
    from plugins.waves.audio import pcm16, reader
    from plugins.waves.files import publishing
    from plugins.waves.v3 import PROCESSING_SR

    source, sr = Path(order.wav_path), PROCESSING_SR
    identity = _identity(source)
    try:
        if order.root is not None:
            reader.check_source(source, order.root)
        wave = reader.read(source, max_duration_s=order.max_duration_s, rate=sr)
        engine = decompose_v3.usable_engine(order.engine)
        result = decompose_v3.decompose_pcm16(wave.samples, engine=engine)
        if not source.exists():  # nobody wants its waves
            raise AudioError("missing", "the recording was deleted while it was decomposed")
        published = publishing.publish(
            list(result.waves),
            sr,
            [Path(target) for target in order.targets],
            Path(order.temporary),
        )
    except AudioError as error:
        if order.root is not None and not source.parent.parent.is_dir():
            return Report("session_gone", f"the session was deleted: {error}")
        final = error.reason not in NOT_FINAL
        return Report("invalid_audio", str(error), data=identity if final else {})
    except PublishError as error:
        return Report("publish_failed", str(error))
    return Report(
        data={
            "files": tuple(
                (str(file.path), file.size, file.sha256, *pcm16.level(samples))
                for file, samples in zip(published, result.waves, strict=True)
            ),
            "frames": len(result.waves[0]),
            "rmse": float(result.rmse),
            "duration_s": wave.duration_s,
            "sample_rate": sr,
            "clipped_samples": int(result.clipped),
            "voiced_ratio": float(result.voiced_ratio),
            "warnings": tuple(wave.warnings),
        }
    )


def _identity(source: Path) -> dict[str, object]:
    """Return what changes when the recording does; nothing if there is none."""
    try:
        status = source.lstat()
    except (OSError, ValueError):
        return {}
    return {"source_size": status.st_size, "source_mtime_ns": status.st_mtime_ns}
