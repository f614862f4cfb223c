"""What a worker of the tests does: what the end of a recording says, else a real decomposition.

Run as a module it is a machine of the farm, as `reflective-resonance waves worker` is one.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from plugins.waves import worker
from plugins.waves.farm import Machine
from plugins.waves.pool import Pool
from plugins.waves.process import Report
from plugins.waves.settings import WavesSettings

HOLD, CRASH, HANG = b"HOLD:", b"CRASH", b"HANG"


def decompose(order: worker.Order) -> Report:
    """Crash, hang, wait while a file is there, or decompose."""
    contents = Path(order.wav_path).read_bytes()
    if contents.endswith(CRASH):
        os.abort()
    while contents.endswith(HANG):
        time.sleep(1)
    _, held, gate = contents.rpartition(HOLD)
    if held:
        Path(f"{gate.decode()}-{os.getpid()}").touch()
        while Path(gate.decode()).exists():
            time.sleep(0.01)
    return worker.decompose(order)


def warm_up(first: bool, replaced_pid: int | None) -> Report:
    """Load what waves are made with."""
    return worker.warm_up("/nonexistent", "exact", None, first, replaced_pid)


def machine(
    url: str,
    workers: int = 1,
    timeout_s: float = 60,
    show: Callable[[str], object] = lambda _: None,
) -> Machine:
    """Return a machine whose workers do this."""
    settings = WavesSettings.load(farm=url, max_workers=workers)

    def pool(temporary: Path) -> Pool:
        return Pool(
            decompose,
            lanes=workers,
            queue_max_size=workers,
            timeout_s=timeout_s,
            warm_up=warm_up,
            low_priority=False,
        )

    return Machine(settings, pool, show)


async def main(url: str) -> None:
    """Be a machine until SIGTERM."""
    one = machine(url)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, one.stop)
    await one.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
