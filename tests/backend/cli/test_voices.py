"""The command `voices`: samples of every voice, and what is measured of them."""

import io
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from rich.console import Console

from backend.cli.voices import audition, show
from backend.config import Settings
from backend.errors import SettingsError
from backend.speech import PROFILES
from backend.speech.sound import Samples, pitch_range
from tests.backend.speech.sounds import syllables
from tests.backend.speech.stubs import KEY, OpenAIStub

WORDS = "Good evening, I am the water."


def console() -> Console:
    """Return a console that keeps what is printed."""
    return Console(file=io.StringIO(), width=200)


def test_every_voice_in_use_speaks(tmp_path: Path) -> None:
    """A service and its fallback speak six samples each, at one level; the rest is listed."""
    with OpenAIStub() as stub:
        settings = Settings(
            _env_file=None,
            speech_engine="openai",
            speech_openai_url=stub.url,
            speech_openai_api_key=SecretStr(KEY),
        )
        report = audition(settings, WORDS, tmp_path, console())

    assert report.ok
    assert [("openai", "speaks"), ("embedded", "fallback")] == [
        (engine.name, engine.use) for engine in report.engines[:2]
    ]
    assert {"not in use"} == {engine.use for engine in report.engines[2:]}
    assert [(name, p) for name in ("openai", "embedded") for p in PROFILES] == [
        (sample.engine, sample.profile) for sample in report.samples
    ]
    for sample in report.samples:
        assert sample.path
        assert Path(sample.path).is_file()
        assert -18 == pytest.approx(sample.level_dbfs, abs=1)
        assert (sample.peak_dbfs or 0) < -1
        assert sample.pitch_hz


def test_a_voice_that_fails_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A refused key and a missing one are in the table, and the fallback still speaks."""
    with OpenAIStub("401") as stub:
        settings = Settings(
            _env_file=None,
            speech_engine="openai",
            speech_fallback=("elevenlabs", "embedded"),
            speech_openai_url=stub.url,
            speech_openai_api_key=SecretStr(KEY),
        )
        report = audition(settings, WORDS, tmp_path, console())
    show(report)

    assert not report.ok
    text = capsys.readouterr().out
    assert "answered 401" in text
    assert "ELEVENLABS_API_KEY" in text
    assert 6 == sum(sample.path is not None for sample in report.samples)
    assert KEY not in text + str(report.to_dict())


def test_a_wrong_voices_toml_is_a_wrong_setting(tmp_path: Path) -> None:
    """Nothing is spoken, and the error names the entry."""
    voices = tmp_path / "voices.toml"
    voices.write_text("[openai]\nspeed = 9\n", "utf-8")

    with pytest.raises(SettingsError, match="speed = 9"):
        audition(Settings(_env_file=None, voices_file=voices), WORDS, tmp_path, console())

    assert [voices] == list(tmp_path.iterdir())


@pytest.mark.parametrize("pitch_hz", [70, 140, 280, 400])
@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 48_000])
def test_the_pitch_of_a_steady_voice(pitch_hz: float, sample_rate: int) -> None:
    """A voice on one note has that note for its range, whatever its overtones."""
    low, high = pitch_range(syllables(sample_rate, pitch_hz=pitch_hz), sample_rate) or (0, 0)

    assert pitch_hz == pytest.approx(low, rel=0.05)
    assert pitch_hz == pytest.approx(high, rel=0.05)


@pytest.mark.parametrize("n_samples", [0, 100, 22_050])
def test_no_pitch_in_noise(n_samples: int) -> None:
    """Noise, silence and next to nothing have no pitch."""
    noise: Samples = np.random.default_rng(5).normal(0, 0.1, n_samples).astype(np.float32)

    assert None is pitch_range(noise, 22_050)
    assert None is pitch_range(np.zeros(n_samples, np.float32), 22_050)
