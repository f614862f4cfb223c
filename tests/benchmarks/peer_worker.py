"""Time one pitch tracker or pipeline in whatever Python it is installed for.

Usage: ``python peer_worker.py NAME FILE...``; prints one JSON object with the seconds of each file.
Needs nothing of the project but `tests/oracle.py` next to its folder, so that it runs anywhere.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

REPEATS = 3


def _pipeline() -> Callable[[str], Any]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    oracle = import_module("tests.oracle")
    oracle.full_search().clear()  # librosa as it comes
    return lambda path: oracle.decompose_file(Path(path), Path(tempfile.mkdtemp()))


def _tracker(track: Callable[[Any, int], Any]) -> Callable[[str], Any]:
    soundfile = import_module("soundfile")

    def run(path: str) -> Any:
        y, sr = soundfile.read(path)
        return lambda: track(y, sr)

    return run


def make(name: str) -> Callable[[str], Any]:
    """Return a function of a path, or one that returns a function to time."""
    if name == "pipeline":
        return _pipeline()
    if name == "librosa":
        librosa = import_module("librosa")
        limits = {"fmin": librosa.note_to_hz("C2"), "fmax": librosa.note_to_hz("C7")}
        return _tracker(
            lambda y, sr: librosa.pyin(y.astype("float32"), sr=sr, hop_length=128, **limits)
        )
    if name == "praat":
        parselmouth = import_module("parselmouth")
        return _tracker(lambda y, sr: parselmouth.Sound(y, sr).to_pitch_ac(0.016, 65.4))
    if name == "libf0":
        libf0 = import_module("libf0")
        return _tracker(lambda y, sr: libf0.pyin(y, Fs=sr, N=2048, H=128, F_min=65.4, F_max=2093))
    pyworld = import_module("pyworld")
    track = {"dio": pyworld.dio, "harvest": pyworld.harvest}[name]
    return _tracker(lambda y, sr: track(y, sr, f0_floor=65.4, f0_ceil=2093.0, frame_period=16.0))


def main(name: str, paths: list[str]) -> None:
    """Time `name` on every path, the best of three, after one run to warm up."""
    run = make(name)
    seconds = []
    for number, path in enumerate(paths):
        prepared = run(path) if name != "pipeline" else (lambda p=path: run(p))
        if number == 0:
            prepared()
        best = float("inf")
        for _ in range(1 if name == "pipeline" else REPEATS):
            started = time.perf_counter()
            prepared()
            best = min(best, time.perf_counter() - started)
        seconds.append(best)
    print(json.dumps({"seconds": seconds, "repeats": REPEATS}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
