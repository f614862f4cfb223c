"""The decomposition against librosa and other makers' pitch trackers: one table.

    uv run python -m tests.benchmarks.decompose [--json] [--quick]

Every figure is a median over interleaved repetitions, with its n. The comparison with librosa 1.0
needs Python 3.12 or later: RR_BENCH_LIBROSA1_PYTHON names an interpreter that has it. The other
peers are the dependency group `peers` (`uv run --group peers ...`); RR_BENCH_PEERS_PYTHON names
another interpreter that has them. A row whose interpreter or package is missing says so.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import soundfile
from rich.console import Console
from rich.table import Table

from backend.storage import riff
from plugins.waves import decompose_v3
from plugins.waves.audio import reader as wavefile
from plugins.waves.files import paths, publishing
from plugins.waves.pyin import pyin
from plugins.waves.v3 import synthesis
from tests import oracle
from tests.speech import LINES, LONG_LINES, speak

HERE = Path(__file__).parent
SR = synthesis.PROCESSING_SR
PITCH_SECONDS = 11
PITCH_REPEATS = 51
STARTS = 7
HOUR_S = 3600
LIMITS: dict[str, Any] = {
    "fmin": synthesis.FMIN,
    "fmax": synthesis.FMAX,
    "sr": SR,
    "hop_length": synthesis.HOP_LENGTH,
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    figure: str
    value: str
    target: str
    n: int


def seconds_of(function: Callable[..., object], *args: object, **kwargs: object) -> float:
    started = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - started


def fresh(folder: Path) -> Path:
    """Return a new directory: overwriting a file makes some file systems flush it."""
    return Path(tempfile.mkdtemp(dir=folder))


def whole_job(path: Path, folder: Path) -> None:
    """WAV in, three WAVs out, as a worker does it, without the flushes of publishing."""
    wave = wavefile.read(path, max_duration_s=HOUR_S, rate=SR)
    result = decompose_v3.decompose_pcm16(wave.samples)
    for target, samples in zip(paths.targets_in(folder, path), result.waves, strict=True):
        target.write_bytes(riff.pcm16_header(samples.size, SR) + samples.tobytes())


def published_job(path: Path, folder: Path) -> None:
    """WAV in, three WAVs out, written, verified and flushed as a worker does it."""
    wave = wavefile.read(path, rate=SR)
    result = decompose_v3.decompose_pcm16(wave.samples)
    publishing.publish(list(result.waves), SR, paths.targets_in(folder, path), folder)


def reference_job(path: Path, folder: Path) -> None:
    """WAV in, three WAVs out, by librosa."""
    oracle.decompose_file(path, folder)


def child(python: str, script: str, *args: object) -> dict[str, Any] | None:
    """Run a script of this folder in another interpreter; None if it cannot."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    try:
        done = subprocess.run(
            [python, str(HERE / script), *map(str, args)],
            capture_output=True,
            text=True,
            check=True,
            timeout=1800,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def whole_jobs(files: list[Path], folder: Path) -> list[Row]:
    """Files in, files out, warm: ours, librosa here, librosa 1.0 in an interpreter of its own."""
    decompose_v3.warm_up()
    reference_job(files[0], fresh(folder))
    ours, flushed, theirs = [], [], []
    for path in files:
        repeated = [seconds_of(whole_job, path, fresh(folder)) for _ in range(3)]
        theirs.append(seconds_of(reference_job, path, fresh(folder)))
        repeated += [seconds_of(whole_job, path, fresh(folder)) for _ in range(2)]
        ours.append(statistics.median(repeated))
        flushed.append(
            statistics.median(seconds_of(published_job, path, fresh(folder)) for _ in range(3))
        )
    n = len(files)
    audio = sum(soundfile.info(path).duration for path in files)
    rows = [
        Row("ours, all jobs", f"{sum(ours) * 1e3:.0f} ms for {audio:.0f} s of speech", "", n),
        Row("ours, flushed and verified", f"{sum(flushed) * 1e3:.0f} ms", "", n),
        ratio(f"librosa {version('librosa')} / ours", theirs, ours, ">= 120 x"),
    ]
    python = os.environ.get("RR_BENCH_LIBROSA1_PYTHON")
    newer = child(python, "peer_worker.py", "pipeline", *files) if python else None
    if newer is None:
        rows.append(Row("librosa 1.0 / ours", "needs RR_BENCH_LIBROSA1_PYTHON", ">= 20 x", 0))
    else:
        rows.append(ratio("librosa 1.0 / ours", newer["seconds"], ours, ">= 20 x"))
    return rows


def ratio(figure: str, theirs: list[float], ours: list[float], target: str) -> Row:
    each = [b / a for a, b in zip(ours, theirs, strict=True)]
    value = f"{sum(theirs) / sum(ours):.0f} x (median {statistics.median(each):.0f} x)"
    return Row(figure, value, target, len(ours))


def pitch(y: npt.NDArray[np.float32], folder: Path) -> list[Row]:
    """Pitch tracking alone on eleven seconds."""
    y = y[: PITCH_SECONDS * SR]
    path = folder / "pitch.wav"
    soundfile.write(path, y, SR, subtype="FLOAT")
    pyin(y, **LIMITS)
    ours = statistics.median(seconds_of(pyin, y, **LIMITS) for _ in range(PITCH_REPEATS))
    rows = [Row("pyin, ours, 11 s", f"{ours * 1e3:.1f} ms", "fastest", PITCH_REPEATS)]
    peers = os.environ.get("RR_BENCH_PEERS_PYTHON", sys.executable)
    newer = os.environ.get("RR_BENCH_LIBROSA1_PYTHON", "")
    for label, python, name in (
        (f"librosa {version('librosa')} pyin", sys.executable, "librosa"),
        ("librosa 1.0 pyin", newer, "librosa"),
        ("Praat autocorrelation", peers, "praat"),
        ("WORLD DIO", peers, "dio"),
        ("WORLD Harvest", peers, "harvest"),
        ("libf0 pyin", peers, "libf0"),
    ):
        result = child(python, "peer_worker.py", name, path) if python else None
        if result is None:
            rows.append(Row(label, "not installed", "", 0))
            continue
        seconds = result["seconds"][0]
        value = f"{seconds * 1e3:.1f} ms = {seconds / ours:.1f} x ours"
        rows.append(Row(label, value, "> 1 x", result["repeats"]))
    return rows


def equality(files: list[Path], folder: Path) -> list[Row]:
    """Differences from librosa in pitch, probability and files."""
    frames = pitches = steps = samples = worst = 0
    largest = 0.0
    for path in files:
        y = wavefile.read(path, rate=SR).samples
        f0, flag, probability = librosa.pyin(y, **LIMITS, **oracle.full_search())
        our_f0, our_flag, our_probability = pyin(y, **LIMITS)
        frames += flag.size
        pitches += int(np.count_nonzero((flag != our_flag) | (flag & (f0 != our_f0))))
        largest = max(largest, float(np.abs(probability - our_probability).max()))
        expected = oracle.expect(path, folder / "scratch.wav").pcm.astype(int)
        difference = np.abs(expected - decompose_v3.decompose_pcm16(y).waves)
        worst = max(worst, int(difference.max()))
        steps += int(np.count_nonzero(difference))
        samples += difference.size
    n = len(files)
    value = f"{worst} LSB ({steps} of {samples} samples differ)"
    return [
        Row("frames whose f0 or flag differ", f"{pitches} of {frames}", "0", n),
        Row("voiced probability, largest difference", f"{largest:.1e}", "<= 1e-6", n),
        Row("wave files, largest difference", value, "<= 1 LSB", n),
    ]


def starts(path: Path, folder: Path, cache: Path) -> list[Row]:
    """Process start to first result, kernel cache cold and warm."""

    def run() -> tuple[float, float]:
        started = time.perf_counter()
        report = child(sys.executable, "start_worker.py", cache, path, fresh(folder))
        assert report is not None
        return time.perf_counter() - started, report["peak_mb"]

    cold, cold_peak = run()
    run()
    warm = [run() for _ in range(STARTS)]
    seconds = statistics.median(s for s, _ in warm)
    peak = statistics.median(p for _, p in warm)
    value = f"{seconds:.2f} s (best {min(s for s, _ in warm):.2f}), peak {peak:.0f} MB"
    return [
        Row("first start ever", f"{cold:.1f} s, peak {cold_peak:.0f} MB", "", 1),
        Row("start to first result, cache warm", value, "<= 0.6 s, <= 150 MB", STARTS),
    ]


def lengths(y: npt.NDArray[np.float32], folder: Path, cache: Path, quick: bool) -> list[Row]:
    """Cost and memory against length, each in a process of its own."""
    rows = []
    minute = np.resize(librosa.resample(y, orig_sr=SR, target_sr=22050), 22050 * 60)
    for duration in (1, 10, 60, 600, *(() if quick else (HOUR_S,))):
        path = folder / f"length_{duration}.wav"
        with soundfile.SoundFile(path, "w", 22050, 1, "PCM_16") as file:
            for start in range(0, duration, 60):
                file.write(minute[: 22050 * min(60, duration - start)])
        repeats = 3 if duration < HOUR_S else 1
        runs = [
            child(sys.executable, "start_worker.py", cache, path, fresh(folder))
            for _ in range(repeats)
        ]
        known = [run for run in runs if run]
        job = statistics.median(run["job_s"] for run in known)
        peak = statistics.median(run["peak_mb"] for run in known)
        value = f"{job * 1e3:.0f} ms = {job / duration * 1e3:.2f} ms/s, peak {peak:.0f} MB"
        target = "< 8 s, < 400 MB" if duration == HOUR_S else ""
        rows.append(Row(f"{duration} s, first job of a process", value, target, len(known)))
        path.unlink()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="leave the hour out")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "speech").mkdir()
        files = list(speak(folder / "speech", LINES + LONG_LINES).values())
        speech = np.concatenate([wavefile.read(path, rate=SR).samples for path in files])
        rows = whole_jobs(files, folder)
        rows += pitch(speech, folder)
        rows += equality(files, folder)
        rows += starts(files[0], folder, folder / "cache")
        rows += lengths(speech, folder, folder / "cache", asked.quick)
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    if asked.json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    table = Table("Figure", "Measured", "Target", "n", title=machine)
    for row in rows:
        table.add_row(row.figure, row.value, row.target, str(row.n))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
