"""The sound card for real: ALSA's own devices that need no hardware, opened by PortAudio."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.playback.dishes import Channel
from plugins.playback.mixer import Mixer, Track

ASKED = "RR_TEST_PORTAUDIO" in os.environ
MISSING = sys.platform != "linux" or find_spec("sounddevice") is None

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MISSING and not ASKED, reason="no Linux, or without the extra playback"),
]

ASOUNDRC = """
pcm.dishes {{
  type file
  slave.pcm {{ type null }}
  file "{file}"
  format "raw"
}}
"""
"""`null` takes samples as fast as it is given some, so what is heard is not at its time."""

CHILD = """
import json, sys, time
from plugins.playback import output
from plugins.playback.settings import PlaybackSettings
from tests.plugins.playback.test_card import mixer
from tests.patience import until
output.SILENCE_LIMIT_S = 0.5
try:
    card = output.SoundCard(PlaybackSettings(device=sys.argv[1]), 6, mixer)
except output.OutputError as error:
    print(json.dumps({"error": str(error)}))
    sys.exit()
until(lambda: card.mixer.position > 200_000, "it plays")
told = {"name": card.name, "latency": card.latency_s, "rate": card.mixer.rate}
before = card.problem
card._stream.abort()
until(lambda: bool(card.problem), "it is noticed")
print(json.dumps({**told, "problems": [before, card.problem]}))
card.close()
card.close()
"""


def mixer(rate: int) -> Mixer:
    """Return a mixer that plays noise in the first and the last of six channels."""
    mixed = Mixer(tuple(Channel(str(n), cap_db=0) for n in range(6)), rate)
    y = np.random.default_rng(1).uniform(-0.1, 0.1, rate)
    mixed.play([Track(y, ((0, 1.0),)), Track(y, ((5, -1.0),))], 48_000)
    return mixed


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with this device."""
    (tmp_path / ".asoundrc").write_text(ASOUNDRC.format(file=tmp_path / "heard.raw"), "utf-8")
    return tmp_path


def opened(home: Path, root: Path, device: str) -> dict[str, Any]:
    """Open a device in a process of its own, whose home it is in; return what it says."""
    command = [sys.executable, "-c", CHILD, device]
    surroundings = {**os.environ, "HOME": str(home)}
    done = subprocess.run(command, env=surroundings, cwd=root, capture_output=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_card_gets_every_channel_sample_by_sample(home: Path, project_root: Path) -> None:
    """At its own rate; one that asks for no more samples is gone, and closes twice."""
    told = opened(home, project_root, "dishes")
    y = np.frombuffer((home / "heard.raw").read_bytes(), "<f4").reshape(-1, 6)
    expected = np.zeros((150_000, 6), np.float32)
    mixer(told["rate"]).fill(expected)

    first, expected_first = (np.flatnonzero(one[:, 0])[0] for one in (y, expected))
    assert first >= expected_first  # PortAudio begins with silence
    np.testing.assert_array_equal(expected[expected_first:], y[first:][: 150_000 - expected_first])
    assert ("dishes", 44_100) == (told["name"], told["rate"])
    assert 0.01 < told["latency"] < 0.05
    assert ["", "dishes plays no longer: it was unplugged, or has failed"] == told["problems"]


def test_a_card_that_is_not_there_is_named_with_those_that_are(
    home: Path, project_root: Path
) -> None:
    """The setting is in it, so that it is clear what to change."""
    told = opened(home, project_root, "no such card")

    expected = ("RR_PLAYBACK_DEVICE", "'no such card'", "there are dishes")
    assert [] == [words for words in expected if words not in told["error"]]
