"""The voice profiles and the voices behind them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from structlog.testing import capture_logs

from backend.errors import SpeechError
from backend.speech.children import EmbeddedEngine
from backend.speech.profiles import (
    DEFAULT_PROFILE,
    DESCRIPTIONS,
    EMBEDDED_VOICES,
    PROFILES,
    VoiceProfile,
    resolve_profile,
)


def test_six_profiles() -> None:
    """There are six profiles, and the default is one of them."""
    assert set(get_args(VoiceProfile)) == set(PROFILES)
    assert len(PROFILES) == 6
    assert DEFAULT_PROFILE in PROFILES


def test_every_profile_is_complete() -> None:
    """Each profile has a description of its own and a voice of its own."""
    assert set(PROFILES) == set(DESCRIPTIONS) == set(EMBEDDED_VOICES)
    assert len(set(DESCRIPTIONS.values())) == 6
    assert len({voice.voice for voice in EMBEDDED_VOICES.values()}) == 6


@pytest.mark.parametrize("profile", PROFILES)
def test_parameters_are_in_range(profile: VoiceProfile) -> None:
    """Each voice stays within what espeak-ng takes, since it clips the rest without a word."""
    voice = EMBEDDED_VOICES[profile]

    assert 80 <= voice.rate_wpm <= 450
    assert 0 <= voice.pitch <= 99
    assert 0 <= voice.pitch_range <= 100
    assert 0 <= voice.volume <= 200
    assert voice.word_gap >= 0


def test_no_voice_is_missing(tmp_path: Path) -> None:
    """Each voice's language and variant are installed: espeak-ng ignores unknown variants."""
    assert "all 6 are there" == EmbeddedEngine(temporary=tmp_path).check()


@pytest.mark.parametrize("name", ["en-us+nobody", "en-nowhere+f2"])
def test_a_missing_voice_is_named(name: str, tmp_path: Path) -> None:
    """A voice whose language or variant is not installed is named."""
    odd = replace(EMBEDDED_VOICES["calm_soothing"], voice=name)
    engine = EmbeddedEngine(temporary=tmp_path, voices={**EMBEDDED_VOICES, "calm_soothing": odd})

    with pytest.raises(SpeechError, match=f"missing: {re.escape(name)}; reinstall"):
        engine.check()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_known_profile_is_kept(profile: VoiceProfile) -> None:
    """A known profile is spoken as it is, without a log line."""
    with capture_logs() as logs:
        assert resolve_profile(profile) == profile

    assert logs == []


@pytest.mark.parametrize("name", ["", "robot", "Friendly_Casual", "x" * 5_000])
def test_an_unknown_profile_falls_back(name: str) -> None:
    """An unknown profile is spoken in the default one, and one warning names it, cut to 80."""
    with capture_logs() as logs:
        profile = resolve_profile(name)

    assert profile == "friendly_casual"
    assert [(log["log_level"], log["voice_profile"]) for log in logs] == [("warning", name[:80])]
