"""What putting three waves in place costs: `uv run python -m tests.benchmarks.publishing`.

Sets of three waves of three seconds are published in each folder, as a worker does it, session by
session of 18. Arguments are folders on the disks to compare; without any, the temporary folder.
"""

import sys
import tempfile
from pathlib import Path
from statistics import quantiles
from time import perf_counter, process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from backend.storage import WAVE_NUMBERS
from plugins.waves.files import paths, publishing

SETS = 200
WARM_UP_SETS = 6
SR, FRAMES = 8000, 24_000
PER_TURN, PER_SESSION = 6, 18


def times_ms(root: Path, sets: int) -> tuple[list[float], float]:
    """Publish `sets` sets below `root`; return how long each took, and the mean work for one."""
    rng = np.random.default_rng(1)
    took = []
    work = 0.0
    for n in range(WARM_UP_SETS + sets):
        waves = [rng.integers(-9000, 9000, FRAMES).astype(np.int16) for _ in WAVE_NUMBERS]
        turn = f"s{n // PER_SESSION}/turn_{n % PER_SESSION // PER_TURN + 1}"
        wav = root / "tts/sessions" / turn / f"slot-{n % PER_TURN + 1}_gpt-5.2_calm.wav"
        targets = paths.session_targets(wav, root)
        work_before, started = process_time(), perf_counter()
        publishing.publish(waves, SR, targets, root / ".tmp")
        took.append((perf_counter() - started) * 1000)
        work += (process_time() - work_before) * 1000
    return took[WARM_UP_SETS:], work / len(took)


def main() -> None:
    folders = [Path(folder) for folder in sys.argv[1:]] or [Path(tempfile.gettempdir())]
    table = Table("Folder", "n", "Median ms", "p90 ms", "Work ms", title="Three waves published")
    for folder in folders:
        with tempfile.TemporaryDirectory(dir=folder) as root:
            took, work = times_ms(Path(root), SETS)
        cuts = quantiles(took, n=10, method="inclusive")
        table.add_row(str(folder), str(SETS), *(f"{ms:.2f}" for ms in (cuts[4], cuts[8], work)))
    Console().print(table)


if __name__ == "__main__":
    main()
