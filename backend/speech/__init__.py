"""Text to speech: the interface, the voice profiles, the engines."""

from backend.speech.engine import SpeechEngine, Spoken, spoken_wav
from backend.speech.factory import ENGINES, create_engine, create_speech, engine_names, voice_names
from backend.speech.profiles import (
    DEFAULT_PROFILE,
    DESCRIPTIONS,
    PROFILES,
    VoiceProfile,
    resolve_profile,
)
from backend.speech.voices import load_voices

__all__ = [
    "DEFAULT_PROFILE",
    "DESCRIPTIONS",
    "ENGINES",
    "PROFILES",
    "SpeechEngine",
    "Spoken",
    "VoiceProfile",
    "create_engine",
    "create_speech",
    "engine_names",
    "load_voices",
    "resolve_profile",
    "spoken_wav",
    "voice_names",
]
