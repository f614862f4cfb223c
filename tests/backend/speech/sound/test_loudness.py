"""One loudness for every voice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.errors import SpeechError
from backend.speech import PROFILES
from backend.speech.children import EmbeddedEngine
from backend.speech.sound.loudness import (
    CEILING_DBFS,
    TARGET_DBFS,
    Samples,
    active_level,
    level,
    peak_level,
)
from tests.backend.speech.sounds import read, syllables

SENTENCE = "Hello there, I am the water. What do you remember of the rain on the roof?"


def clicks(y: Samples) -> Samples:
    """Return `y` with a click of full scale now and then."""
    clicked = y.copy()
    clicked[::4_000] = 1
    return clicked


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 48_000])
@pytest.mark.parametrize("gain_db", [-30, -6, 0])
@pytest.mark.parametrize("shape", [syllables, lambda rate: clicks(syllables(rate))])
def test_any_speech_comes_out_at_one_level(
    shape: Callable[[int], Samples], gain_db: float, sample_rate: int
) -> None:
    """Soft or loud, smooth or full of clicks: the active level is the target, and no peak above."""
    y = shape(sample_rate) * np.float32(10 ** (gain_db / 20))

    levelled = level(y, sample_rate)

    assert TARGET_DBFS == pytest.approx(active_level(levelled, sample_rate), abs=0.2)
    assert peak_level(levelled) <= CEILING_DBFS + 0.001
    assert len(y) == len(levelled)


def test_speech_that_needs_no_limit_is_only_scaled() -> None:
    """Without a peak above the ceiling the shape of the wave is kept exactly."""
    y = syllables(22_050)

    levelled = level(y, 22_050)

    loud = np.abs(y) > 0.01
    ratio = levelled[loud] / y[loud]
    assert np.ptp(ratio) < 1e-5


def test_pauses_do_not_count() -> None:
    """The same words with long pauses between them have the same level."""
    y = syllables(22_050)
    paused = np.concatenate([y, np.zeros(5 * 22_050, np.float32), y])

    assert active_level(y, 22_050) == pytest.approx(active_level(paused, 22_050), abs=0.01)


@pytest.mark.parametrize("amplitude", [0, 1e-5])
@pytest.mark.parametrize("n_samples", [0, 1, 22_050])
def test_silence_is_refused(amplitude: float, n_samples: int) -> None:
    """Silence and a noise floor are no speech, and are not made a roar of."""
    y = np.full(n_samples, amplitude, np.float32)

    with pytest.raises(SpeechError, match="made no sound"):
        level(y, 22_050)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_embedded_profile_is_at_the_target(profile: str, tmp_path: Path) -> None:
    """Each embedded voice, as it is written, is within 1 dB of the target and does not clip."""
    engine = EmbeddedEngine(temporary=tmp_path / ".tmp")

    engine.generate_wav_to_file(SENTENCE, profile, tmp_path / "a.wav")

    y, sample_rate = read(tmp_path / "a.wav")
    assert TARGET_DBFS == pytest.approx(active_level(y, sample_rate), abs=1)
    assert peak_level(y) < -1
