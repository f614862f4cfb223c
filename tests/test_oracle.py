"""What stands for librosa in ordinary tests is what librosa says."""

import platform
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest

from tests import oracle, stored

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[1]
STEPS = 4
"""How far second differences may move if one sample of a wave is rounded the other way."""


@pytest.mark.parametrize("rate", [11_025, 22_050, 44_100, 192_000])
@pytest.mark.parametrize("n", [1, 127, 44_101])
def test_the_short_forms_are_librosas(rate: int, n: int) -> None:
    """Mixing down and resampling give its samples bit by bit."""
    samples = np.random.default_rng(n).uniform(-1, 1, (n, 3)).astype(np.float32)

    mono = oracle.to_mono(samples)

    np.testing.assert_array_equal(mono, librosa.to_mono(samples.T))
    theirs = librosa.resample(mono, orig_sr=rate, target_sr=8000, res_type="soxr_hq")
    np.testing.assert_array_equal(oracle.resample(mono, rate), theirs)


def test_the_answers_that_are_kept_are_librosas(tmp_path: Path) -> None:
    """Made anew they are the same; on another platform the same where the questions are."""
    file = tmp_path / "answers.npz"

    made = subprocess.run(
        [sys.executable, "-m", "tests.data.oracle.make", file], cwd=ROOT, check=False
    )

    assert 0 == made.returncode
    with np.load(file) as answers:
        anew = dict(answers)
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):
        assert stored.kept.keys() == anew.keys(), "run python -m tests.data.oracle.make"
    for key in stored.kept.keys() & anew.keys():
        atol = STEPS if key.startswith("pcm") else 1e-12
        np.testing.assert_allclose(anew[key], stored.kept[key], rtol=1e-9, atol=atol, err_msg=key)
