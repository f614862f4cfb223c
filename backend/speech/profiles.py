"""The six voice profiles an agent chooses from, and how the embedded engine speaks them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

import structlog

log = structlog.get_logger(__name__)

VoiceProfile = Literal[
    "friendly_casual",
    "warm_professional",
    "energetic_upbeat",
    "calm_soothing",
    "confident_charming",
    "playful_expressive",
]
PROFILES: Final[tuple[VoiceProfile, ...]] = get_args(VoiceProfile)
DEFAULT_PROFILE: Final[VoiceProfile] = "friendly_casual"

DESCRIPTIONS: Final[Mapping[VoiceProfile, str]] = MappingProxyType(
    {
        "friendly_casual": "relaxed and close, as among friends",
        "warm_professional": "unhurried, attentive and clear",
        "energetic_upbeat": "fast and bright, full of drive",
        "calm_soothing": "slow, low and gentle, with room between the words",
        "confident_charming": "assured, with a British lilt and a smile",
        "playful_expressive": "high, lively and wide in melody",
    }
)
"""One line per profile, for the prompts."""


@dataclass(frozen=True, slots=True)
class EmbeddedVoice:
    """How espeak-ng speaks one profile."""

    voice: str
    """Language and variant, as `espeak_SetVoiceByName` takes them."""
    rate_wpm: int
    """Words per minute, 80 to 450."""
    pitch: int
    """Base pitch, 0 to 99."""
    pitch_range: int
    """Range of the melody, 0 (monotone) to 100."""
    volume: int
    """0 to 200; set so that active speech measures about -18 dBFS in each profile."""
    word_gap: int
    """Pause between words in units of 10 ms."""


EMBEDDED_VOICES: Final[Mapping[VoiceProfile, EmbeddedVoice]] = MappingProxyType(
    {
        "friendly_casual": EmbeddedVoice("en-us+f2", 175, 48, 55, 100, 0),
        "warm_professional": EmbeddedVoice("en-us+edward", 160, 40, 45, 100, 0),
        "energetic_upbeat": EmbeddedVoice("en-us+f5", 195, 60, 75, 118, 0),
        "calm_soothing": EmbeddedVoice("en-us+f1", 142, 38, 30, 100, 1),
        "confident_charming": EmbeddedVoice("en-gb-x-rp+benjamin", 165, 56, 65, 120, 0),
        "playful_expressive": EmbeddedVoice("en-us+adam", 182, 80, 95, 120, 0),
    }
)


def resolve_profile(name: str) -> VoiceProfile:
    """Return the profile called `name`, or the default one with a warning in the log."""
    for profile in PROFILES:
        if name == profile:
            return profile
    log.warning("unknown voice profile", voice_profile=name[:80], spoken_as=DEFAULT_PROFILE)
    return DEFAULT_PROFILE
