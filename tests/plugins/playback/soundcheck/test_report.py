"""What an input of the sound card hears, here one of ALSA's that needs no hardware."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ASKED = "RR_TEST_PORTAUDIO" in os.environ
MISSING = sys.platform != "linux" or find_spec("sounddevice") is None

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MISSING and not ASKED, reason="no Linux, or without the extra playback"),
]

ASOUNDRC = """
pcm.sensor {{
  type file
  slave.pcm {{ type null }}
  file "/dev/null"
  infile "{file}"
  format "raw"
}}
"""

CHILD = """
import json, sys
from backend.errors import UsageError
from plugins.playback.soundcheck import report
report.TAIL_MS = 200
try:
    y, sr = report.record(sys.argv[1], lambda: None)
    print(json.dumps({"sr": sr, "y": y[:20_000].tolist()}))
except UsageError as error:
    print(json.dumps({"error": str(error)}))
"""


def heard(home: Path, root: Path, device: str) -> dict[str, object]:
    """Record in a process of its own, whose home has the device; return what it says."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, device],
        env={**os.environ, "HOME": str(home)},
        cwd=root,
        capture_output=True,
        check=True,
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_an_input_is_recorded_sample_by_sample(tmp_path: Path, project_root: Path) -> None:
    """At its own rate, from some sample on."""
    y = np.random.default_rng(1).uniform(-0.5, 0.5, 2_000_000).astype("<f4")
    (tmp_path / "heard.raw").write_bytes(y.tobytes())
    (tmp_path / ".asoundrc").write_text(ASOUNDRC.format(file=tmp_path / "heard.raw"), "utf-8")

    told = heard(tmp_path, project_root, "sensor")

    got = np.asarray(told["y"], np.float32)
    start = int(np.flatnonzero(y == got[0])[0])
    np.testing.assert_array_equal(y[start:][: len(got)], got)
    assert len(got) > 1000
    assert 44_100 == told["sr"]


def test_an_input_that_is_not_there_is_named(tmp_path: Path, project_root: Path) -> None:
    """With the word that was typed."""
    told = heard(tmp_path, project_root, "no such input")

    assert "--input no such input" in str(told["error"])
