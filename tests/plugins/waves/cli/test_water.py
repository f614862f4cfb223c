"""`waves water` on files."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.command import invoke


@pytest.fixture
def wave(tmp_path: Path) -> Path:
    """Return a wave that moves a small dish: two seconds of 30 Hz."""
    path = tmp_path / "a_v3_wave1.wav"
    sf.write(path, np.sin(2 * np.pi * 30 * np.arange(16_000) / 8000), 8000)
    return path


def test_it_says_when_and_how_high(wave: Path, tmp_path: Path) -> None:
    """A row for each file; one that is no recording has its reason, and the exit code is 1."""
    broken, picture = tmp_path / "broken.wav", tmp_path / "water.png"
    broken.write_bytes(b"no audio")
    options = ("--dish", "30x10", "--json", "--picture", str(picture))

    result = invoke("waves", "water", str(broken), str(wave), *options)

    bad, good = json.loads(result.stdout)["files"]
    assert 1 == result.exit_code
    assert (False, True) == (bad["ok"], good["ok"])
    assert 0.1 < good["seen_after_s"] < 2
    assert 0.5 < good["highest_mm"] < 10
    assert 15 == pytest.approx(good["answer_hz"], rel=0.05)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_table_is_for_people(wave: Path) -> None:
    """What a table says of a file that leaves the water still."""
    result = invoke("waves", "water", str(wave), "--dish", "30x10", "--gain", "0.05")

    assert 0 == result.exit_code
    assert "never" in result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--dish", "75"), "75x10"),
        (("--dish", "75x0"), "1 to 1000 mm"),
        (("--liquid", "sand"), "water, glycerol20"),
        (("--picture", "none/water.png"), "there is no folder none"),
    ],
)
def test_wrong_usage_is_told_with_its_value(
    wave: Path, options: tuple[str, ...], said: str
) -> None:
    """The exit code is 2."""
    result = invoke("waves", "water", str(wave), *options)

    assert 2 == result.exit_code
    assert options[1] in result.stderr
    assert said in result.stderr
