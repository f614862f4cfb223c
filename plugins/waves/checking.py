"""Make the waves of a second of speech as the server does, and compare them, for `doctor`."""

import tempfile
import threading
from pathlib import Path
from typing import Any

from backend.storage import Artifacts
from plugins.waves import worker
from plugins.waves.errors import KernelError, WavesError
from plugins.waves.preparing import Say, prepare, usable_root
from plugins.waves.process import Report, Worker, WorkerDiedError, WorkerTimeoutError
from plugins.waves.settings import V3_SAMPLE_RATE, WavesSettings

LIMIT_S = 60.0
KNOWN, TOLERANCE = [0.2123, 1.0, 0.2691, 0.1407, 0.0961], 0.001
"""What both engines make of `speech()`: rmse, voiced ratio, and the peak of each wave."""


def check(settings: WavesSettings, artifacts: Artifacts, say: Say) -> str:
    """Return how waves are made here, or raise WavesError; compile what is not compiled.

    A farm that cannot be used is a ServerError.
    """
    farm = f"; the farm: {settings.farm_login().check()}" if settings.farm else ""
    root = usable_root(settings.kernel_cache, artifacts.temporary)
    if settings.engine == "exact":
        prepare(root, say, threading.Event())
    with tempfile.TemporaryDirectory(dir=artifacts.temporary, prefix="doctor-") as place:
        source = Path(place, "speech.wav")
        source.write_bytes(speech())
        memory_mb, cancelled = settings.memory_limit_mb, threading.Event()
        process = Worker(memory_mb, cancelled, lambda _: None, low_priority=False)
        try:
            start = worker.warm_up, place, settings.engine, root, False, None
            ready = process.run(LIMIT_S, *start)
            if problem := ready.message or ready.data["problem"]:
                raise KernelError(str(problem))
            order = worker.Order(str(source), place, place, None, LIMIT_S, settings.engine)
            compare(process.run(LIMIT_S, worker.decompose, order))
        except (WorkerDiedError, WorkerTimeoutError) as error:
            raise WavesError(f"the process that makes waves failed: {error}") from error
        finally:
            process.discard()
    return f"three waves of a second of speech are right, by the engine {settings.engine}{farm}"


def speech() -> bytes:
    """Return a second of a voice that rises from 110 to 170 Hz, as a WAV file of 8000 Hz."""
    import numpy as np

    from plugins.waves.audio import pcm16

    times = np.arange(V3_SAMPLE_RATE) / V3_SAMPLE_RATE
    phase = 2 * np.pi * (110 * times + 30 * times**2)
    voice = sum(np.sin(h * phase) / h for h in range(1, 7)) * np.sin(np.pi * times)
    return pcm16.encode(pcm16.to_pcm16(0.25 * voice)[0], V3_SAMPLE_RATE)


def compare(report: Report) -> None:
    """Raise WavesError if what a worker reports of `speech()` is not what is known of it."""
    if report.reason:
        raise WavesError(f"{report.reason}: {report.message}")
    sets: Any = report.data["sets"]
    made = [sets[0]["rmse"], sets[0]["voiced_ratio"], *(peak for *_, peak, _ in sets[0]["files"])]
    wrong = [one for one, other in zip(made, KNOWN, strict=False) if abs(one - other) > TOLERANCE]
    if wrong or len(made) != len(KNOWN):
        raise WavesError(f"the waves of a second of speech are wrong: {made}, not {KNOWN}")
