"""The tasks of a waves worker: make and publish a recording's sets of waves; the water of a wave.

Runs in a child process of the pool; the parent imports this module too, to name its functions. So
the top imports nothing heavy: the audio libraries are imported where they are used, first by
`warm_up`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from backend.storage import Artifacts
from plugins.waves.errors import AudioError, ProfileError, PublishError, describe
from plugins.waves.process import Report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from plugins.waves.audio import pcm16
    from plugins.waves.decompose_v3 import Engine
    from plugins.waves.profiles import Voice


SAMPLE_RATE = 8000
"""Hertz of every wave; `v3.PROCESSING_SR` without its libraries."""
NOT_FINAL = ("missing", "unreadable", "changed")
"""Refusals that say nothing about what the recording holds: another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be decomposed, and where the waves go; sent to a worker."""

    wav_path: str
    directory: str
    """Where the waves go."""
    temporary: str
    root: str | None
    """The recording must lie below it with every link followed; None: it may lie anywhere."""
    max_duration_s: float
    engine: "Engine"
    slot_id: int = 1
    """The dish whose agent speaks, for profiles that make a difference; 0: all of them."""
    profiles: tuple[tuple[str, Mapping[str, Any]], ...] = (("v3", {}),)
    """At least one, with its settings. Without v3's waves the job has failed; another profile that
    fails is reported."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Profiles that are not made, and why."""
    body: str = ""
    """A file that gets the samples of all waves instead, for another machine."""


def do(decompose: Callable[[Order], Report], order: Order | tuple[str, str]) -> Report:
    """Do one of the two tasks."""
    return shake(*order) if isinstance(order, tuple) else decompose(order)


def without_others(order: object, how: str) -> Order | None:
    """Return an order without the profiles of other packages, after one may have ended a worker.

    None if it has none.
    """
    if not isinstance(order, Order) or order.left_out:
        return None
    points = entry_points(group="reflective_resonance.profiles")
    own = {"v3", *(one.name for one in points if one.value.startswith("plugins."))}
    why = f"left out, since a worker ended with it: {how}"
    left_out = {name: why for name, _ in order.profiles if name not in own}
    return replace(order, left_out=left_out) if left_out else None


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
        swept = publishing.sweep(Path(temporary), spared=os.getppid())  # the server's farm
    elif replaced_pid is not None:
        swept = publishing.sweep(Path(temporary), pid=replaced_pid)
    used = decompose_v3.warm_up(engine)
    warm_up_ms = round((perf_counter() - started) * 1000, 1)
    problem = decompose_v3.exact_problem() if used != engine else ""
    figures = {"swept": swept, "engine": used, "warm_up_ms": warm_up_ms, "problem": problem}
    return Report(data=figures)


def decompose(order: Order) -> Report:
    """Make the waves of one recording and publish them; report a refusal, do not raise it."""
    from plugins.waves.audio import reader
    from plugins.waves.v3 import PROCESSING_SR

    source = Path(order.wav_path)
    known = identity(source)
    try:
        if order.root is not None:
            reader.check_source(source, order.root)
        wave = reader.read(source, max_duration_s=order.max_duration_s, rate=PROCESSING_SR)
        voice = _voice(wave.samples, order)
        if order.body:  # an attempt that crashed may have left some
            Path(order.body).write_bytes(b"")
        sets = tuple(_try_to_make(voice, *one, order, known) for one in order.profiles)
    except AudioError as error:
        return refusal(order, error, known)
    except PublishError as error:
        return Report("publish_failed", str(error))
    return Report(
        data={
            "frames": len(wave.samples),
            "duration_s": wave.duration_s,
            "sample_rate": PROCESSING_SR,
            "warnings": tuple(wave.warnings),
            "sets": sets,
        }
    )


def read(order: Order) -> tuple[bytes, Mapping[str, object]]:
    """Return the file of a recording for a worker on another machine, and its identity.

    Raises AudioError.
    """
    from plugins.waves.audio import reader

    source = Path(order.wav_path)
    known = identity(source)
    if order.root is not None:
        reader.check_source(source, order.root)
    return reader.contents(source), known


def refusal(order: Order, error: AudioError, known: Mapping[str, object]) -> Report:
    """Report a recording that is refused; `known` is its identity."""
    if order.root is not None and not Path(order.wav_path).parent.parent.is_dir():
        return Report("session_gone", f"the session was deleted: {error}")
    final = error.reason not in NOT_FINAL
    return Report("invalid_audio", str(error), data=known if final else {})


def shake(wav_path: str, root: str) -> Report:
    """Report how a dish answers to the first two minutes of a wave; see `water.motion`."""
    from plugins.waves.audio import reader
    from plugins.waves.water import RATE, Dish, G, motion

    try:
        wave = reader.read(reader.check_source(wav_path, root), rate=RATE)
    except AudioError as error:
        return Report("invalid_audio", str(error))
    return Report(data=motion(Dish(), wave.samples[: 120 * RATE], G))


def _try_to_make(
    voice: "Voice",
    profile: str,
    numbers: Mapping[str, Any],
    order: Order,
    known: Mapping[str, object],
) -> dict[str, Any]:
    """Make the waves of a profile; if one beside V3 fails, return why."""
    try:
        if profile in order.left_out:
            raise ProfileError(order.left_out[profile])
        return _make(voice, profile, numbers, order)
    except Exception as error:
        is_torn = bool(order.body) and isinstance(error, PublishError)
        if profile == "v3" or is_torn or isinstance(error, AudioError):  # nothing can be made
            raise
        reason = "publish_failed" if isinstance(error, PublishError) else "error"
        may_pass = isinstance(error, PublishError | OSError | MemoryError)
        message = f"{type(error).__name__}: {error}"
        contents = {} if may_pass else known
        return {"profile": profile, "files": (), "reason": reason, "message": message, **contents}


def _voice(samples: "npt.NDArray[np.float32]", order: Order) -> "Voice":
    from plugins.waves import decompose_v3, profiles
    from plugins.waves.v3 import reference, synthesis

    is_exact = decompose_v3.usable_engine(order.engine) == "exact"
    track = synthesis.track_pitch if is_exact else reference.track_pitch
    return profiles.Voice(samples, order.slot_id, track)


def _make(voice: "Voice", profile: str, numbers: Mapping[str, Any], order: Order) -> dict[str, Any]:
    """Make and publish the waves of a profile; return its files and figures."""
    if profile == "v3":
        waves, figures = _made_by_v3(voice, order)
    else:
        waves, figures = _made_by_profile(voice, profile, numbers)
    return {"profile": profile, "files": publish(waves, profile, order), **figures}


def publish(waves: "Sequence[pcm16.Pcm16]", profile: str, order: Order) -> tuple[Any, ...]:
    """Put the waves of a profile in place; return what is reported of each file."""
    if order.body:
        try:
            with Path(order.body).open("ab") as body:
                body.writelines(wave.astype("<i2").tobytes() for wave in waves)
        except OSError as error:
            raise PublishError(f"cannot write waves: {describe(error)}") from error
        return tuple(order.body for _ in waves)
    from plugins.waves.audio import pcm16
    from plugins.waves.files import publishing, targets_in

    source = Path(order.wav_path)
    if not source.exists():  # nobody wants its waves
        raise AudioError("missing", "the recording was deleted while it was decomposed")
    targets = targets_in(Path(order.directory), source, profile, len(waves))
    if order.root and (link := Artifacts(Path(order.root)).link_in(targets[0].parent)):
        raise PublishError(f"{link} is a symbolic link: remove it")
    published = publishing.publish(waves, SAMPLE_RATE, targets, Path(order.temporary))
    files = zip(published, waves, strict=True)
    return tuple((str(one.path), one.size, one.sha256, *pcm16.level(pcm)) for one, pcm in files)


def _made_by_v3(voice: "Voice", order: Order) -> "tuple[Sequence[pcm16.Pcm16], dict[str, Any]]":
    from plugins.waves import decompose_v3

    engine = decompose_v3.usable_engine(order.engine)
    pitch = voice.pitch if engine == "exact" else None
    result = decompose_v3.decompose_pcm16(voice.samples, engine=engine, pitch=pitch)
    return list(result.waves), {
        **result.figures,
        "clipped_samples": int(result.clipped),
        "voiced_ratio": float(result.voiced_ratio),
    }


def _made_by_profile(
    voice: "Voice", name: str, numbers: Mapping[str, Any]
) -> "tuple[Sequence[pcm16.Pcm16], dict[str, Any]]":
    import numpy as np

    from plugins.waves import profiles
    from plugins.waves.audio import pcm16
    from plugins.waves.files import publishing
    from plugins.waves.v3 import reference

    profile = profiles.find(name)
    targets = profile.targets(voice.slot_id)
    if not 1 <= len(targets) <= publishing.MOST:
        raise ProfileError(
            f"{name} has {len(targets)} waves: 1 to {publishing.MOST} can be written"
        )
    waves = profile.make(voice, numbers)
    shape = (len(targets), voice.samples.size)
    if waves.shape != shape or not np.isfinite(waves).all():
        raise ProfileError(f"{name} made an array of {waves.shape}, not {shape} finite numbers")
    converted = [pcm16.to_pcm16(wave) for wave in waves]
    return [pcm for pcm, _ in converted], {
        **reference.figures(voice.samples, waves.sum(axis=0)),
        "targets": targets,
        "clipped_samples": sum(clipped for _, clipped in converted),
        "voiced_ratio": float(voice.pitch[1].mean()),
    }


def identity(source: Path) -> dict[str, object]:
    """Return what changes when the recording does; nothing if there is none."""
    try:
        status = source.lstat()
    except (OSError, ValueError):
        return {}
    return {"source_size": status.st_size, "source_mtime_ns": status.st_mtime_ns}
