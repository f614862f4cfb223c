"""Makes `answers.npz` anew, or another file: `uv run python -m tests.data.oracle.make [FILE]`.

Runs the tests that use kept answers, has librosa answer each of their questions, and writes that.
Speaks `speech.npz` if it is not there.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from plugins.waves.audio import reader as wavefile
from tests import stored
from tests.speech import LINES, speak

WAVES = Path(__file__).parents[2] / "plugins" / "waves"
ASKING = (
    "pyin/test_track.py",
    "test_decompose_v3.py",
    "pyin/test_viterbi.py",
    "pyin/test_kernels.py",
)


def make_speech() -> None:
    """Write a short utterance of each voice."""
    with TemporaryDirectory() as folder:
        spoken = {
            profile: wavefile.read(path, rate=8000).samples
            for (profile, _), path in speak(Path(folder), LINES[1:2]).items()
        }
    steps = {profile: np.rint(y * 2**15).astype(np.int16) for profile, y in spoken.items()}
    np.savez_compressed(stored.SPEECH, **steps)  # type: ignore[arg-type]  # one is allow_pickle


def main(file: Path) -> int:
    """Write the answers to `file`; return the exit code."""
    if not stored.SPEECH.exists():
        make_speech()
    stored.kept.clear()
    code = int(
        pytest.main(
            [
                "-q",
                "-n",
                "0",
                "-W",
                "ignore:Module already imported",
                *(str(WAVES / name) for name in ASKING),
            ]
        )
    )
    if code == 0:
        np.savez_compressed(file, **dict(sorted(stored.asked.items())))  # type: ignore[arg-type]  # one is allow_pickle
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else stored.FILE))
