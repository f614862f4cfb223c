"""Text to speech: the interface, the voice profiles, the engines."""

from backend.speech.engine import SpeechEngine, Spoken
from backend.speech.espeak import missing_voices
from backend.speech.factory import ENGINES, create_engine, create_speech, engine_names, options_of
from backend.speech.loudness import active_level, peak_level
from backend.speech.pitch import pitch_range
from backend.speech.profiles import (
    DEFAULT_PROFILE,
    DESCRIPTIONS,
    PROFILES,
    VoiceProfile,
    resolve_profile,
)
from backend.speech.riff import decode

__all__ = [
    "DEFAULT_PROFILE",
    "DESCRIPTIONS",
    "ENGINES",
    "PROFILES",
    "SpeechEngine",
    "Spoken",
    "VoiceProfile",
    "active_level",
    "create_engine",
    "create_speech",
    "decode",
    "engine_names",
    "missing_voices",
    "options_of",
    "peak_level",
    "pitch_range",
    "resolve_profile",
]
