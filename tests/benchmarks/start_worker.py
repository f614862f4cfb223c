"""Do what a worker does from its start to its first result; print time and memory as JSON.

Usage: ``python start_worker.py CACHE_ROOT INPUT OUTPUT_DIR``.
"""

import json
import os
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def peak_mb() -> float:
    """Return the largest resident size of this process so far."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> None:
    """Load the kernels, decompose one file, report."""
    os.environ["RR_WAVES_KERNEL_CACHE"] = sys.argv[1]
    # as in a worker: timed
    from backend.storage import riff
    from plugins.waves import decompose_v3
    from plugins.waves.audio import reader as wavefile
    from plugins.waves.files import paths

    loaded = time.perf_counter()
    source, folder = Path(sys.argv[2]), Path(sys.argv[3])
    wave = wavefile.read(source, max_duration_s=3600, rate=8000)
    result = decompose_v3.decompose_pcm16(wave.samples)
    for target, samples in zip(paths.targets_in(folder, source), result.waves, strict=True):
        with target.open("wb") as file:
            file.write(riff.pcm16_header(samples.size, 8000))
            file.write(samples.data)
    done = time.perf_counter()
    report = {"load_s": loaded - STARTED, "job_s": done - loaded, "peak_mb": peak_mb()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
