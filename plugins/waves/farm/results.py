"""A result of a worker on another machine: checked against its order, then put in place."""

import io
import math
from collections.abc import Mapping
from typing import Any

from backend.storage import riff
from plugins.waves import worker
from plugins.waves.errors import AudioError, FarmError, PublishError
from plugins.waves.farm import wire
from plugins.waves.process import Report


def frames_of(contents: bytes) -> int:
    """Return how many samples each wave of a recording has; 0 if its header is refused."""
    try:
        header = riff.read_header(io.BytesIO(contents), len(contents))
    except riff.WavError:
        return 0
    return math.ceil(header.frames * (worker.SAMPLE_RATE / header.rate))


def publish(
    order: worker.Order,
    frames: int,
    identity: Mapping[str, object],
    result: wire.Result,
    body: bytes,
) -> Report:
    """Publish the waves of a result and report as a worker of this machine would.

    `frames` is what `frames_of` says, `identity` what changes when the recording does. Raises
    FarmError if it is not the result of this order: nothing is published then.
    """
    import numpy as np

    if result.reason:
        known = identity if result.is_final else {}
        return Report(result.reason, result.message, result.detail, known)
    if [one.profile for one in result.sets] != [name for name, _ in order.profiles]:
        raise FarmError("other profiles than those that were asked for")
    count = sum(one.files for one in result.sets)
    if not frames or result.frames != frames or len(body) != 2 * frames * count:
        raise FarmError(f"{len(body)} bytes for {count} waves of {frames} samples")
    rows = iter(np.frombuffer(body, "<i2").reshape(count, frames))
    sets: list[dict[str, Any]] = []
    try:
        for one in result.sets:
            waves = [next(rows) for _ in range(one.files)]
            files = worker.publish(waves, one.profile, order) if waves else ()
            said = one.model_dump(exclude={"files", "is_final"}, exclude_defaults=True)
            sets.append({**said, **(identity if one.is_final else {}), "files": files})
    except AudioError as error:
        return worker.refusal(order, error, identity)
    except PublishError as error:
        return Report("publish_failed", str(error))
    seconds = {"duration_s": frames / worker.SAMPLE_RATE, "sample_rate": worker.SAMPLE_RATE}
    warnings = result.warnings
    return Report(data={"frames": frames, **seconds, "warnings": warnings, "sets": tuple(sets)})
