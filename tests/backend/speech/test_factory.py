"""Choosing an engine."""

from pathlib import Path

import pytest

from backend.errors import SettingsError
from backend.speech import SpeechEngine, create_engine


def test_the_embedded_engine_speaks(tmp_path: Path) -> None:
    """The engine called `embedded` needs no key and no network."""
    engine: SpeechEngine = create_engine("embedded", temporary=tmp_path / ".tmp", timeout_s=20)

    spoken = engine.generate_wav_to_file("Hello.", "friendly_casual", tmp_path / "hello.wav")

    assert engine.name == "embedded"
    assert spoken.duration_s > 0.2


def test_an_unknown_engine(tmp_path: Path) -> None:
    """An unknown name is refused, and the message names it and the known ones."""
    with pytest.raises(SettingsError, match=r"'parrot'.*embedded"):
        create_engine("parrot", temporary=tmp_path, timeout_s=20)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf")])
def test_an_impossible_time_limit(timeout_s: float, tmp_path: Path) -> None:
    """A time limit that is no positive number is refused with its value."""
    with pytest.raises(SettingsError, match=f"{timeout_s}"):
        create_engine("embedded", temporary=tmp_path, timeout_s=timeout_s)
