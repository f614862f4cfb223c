"""Builds the speech engines that the settings ask for; each is imported only when it is used."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from backend.config import Settings
from backend.errors import SettingsError, SpeechError
from backend.services import elevenlabs, openai
from backend.speech.engine import DEFAULT_TIMEOUT_S, SpeechEngine
from backend.speech.profiles import EMBEDDED_VOICES, VoiceProfile
from backend.speech.voices import EngineVoices, load_voices


def _embedded(voices: EngineVoices, _: Settings, **common: Any) -> SpeechEngine:
    from backend.speech.children import EmbeddedEngine

    mapped = {
        profile: replace(
            EMBEDDED_VOICES[profile],
            voice=voice.voice or EMBEDDED_VOICES[profile].voice,
            rate_wpm=round(EMBEDDED_VOICES[profile].rate_wpm * voice.speed),
        )
        for profile, voice in voices.voices.items()
    }
    return EmbeddedEngine(voices=mapped, **common)


def _elevenlabs(voices: EngineVoices, settings: Settings, **common: Any) -> SpeechEngine:
    from backend.speech.online import RemoteEngine

    key, url = settings.elevenlabs_api_key, settings.speech_elevenlabs_url
    service = elevenlabs(key, url, used_by="the speech engine")
    return RemoteEngine(service, voices.voices, **common)


def _openai(voices: EngineVoices, settings: Settings, **common: Any) -> SpeechEngine:
    from backend.speech.online import RemoteEngine

    service = openai(
        settings.speech_openai_api_key,
        settings.openai_api_key,
        settings.speech_openai_url,
        variable="RR_SPEECH_OPENAI_API_KEY",
        used_by="the speech engine",
    )
    return RemoteEngine(service, voices.voices, **common)


def _piper(voices: EngineVoices, settings: Settings, **common: Any) -> SpeechEngine:
    from backend.speech.children import PiperEngine

    if find_spec("piper") is None:
        raise SettingsError(
            "the speech engine piper is not installed: uv sync --inexact --extra piper"
        )
    model = settings.speech_piper_model
    default = "" if model is None else str(model.expanduser())
    mapped = {
        profile: replace(voice, model=voice.model or default)
        for profile, voice in voices.voices.items()
    }
    without = [profile for profile, voice in mapped.items() if not voice.model]
    if without:
        raise SettingsError(
            f"the speech engine piper has no model for {', '.join(without)}: "
            "set RR_SPEECH_PIPER_MODEL to a voice's .onnx file"
        )
    return PiperEngine(mapped, **common)


_ENGINES: Mapping[str, Callable[..., SpeechEngine]] = {
    "embedded": _embedded,
    "elevenlabs": _elevenlabs,
    "openai": _openai,
    "piper": _piper,
}
ENGINES = tuple(_ENGINES)
"""The names `create_engine` knows."""


def create_engine(
    name: str, settings: Settings, *, temporary: Path, timeout_s: float = DEFAULT_TIMEOUT_S
) -> SpeechEngine:
    """Return the engine called `name`, one of `ENGINES`, or raise SettingsError."""
    model = settings.speech_elevenlabs_model
    voices = load_voices(settings.voices_file, elevenlabs_model=model)[name]
    return _ENGINES[name](
        voices,
        settings,
        temporary=temporary,
        timeout_s=timeout_s,
        max_requests=voices.max_requests,
    )


def create_speech(settings: Settings, temporary: Path) -> SpeechEngine:
    """Return the engine of `settings` with its fallbacks; they share the time limit equally."""
    names = engine_names(settings)
    timeout_s = settings.speech_timeout_s / len(names)
    engines = [
        create_engine(name, settings, temporary=temporary, timeout_s=timeout_s) for name in names
    ]
    if len(engines) == 1:
        return engines[0]
    from backend.speech.fallback import FallbackEngine

    return FallbackEngine(engines, label="the voice", error=SpeechError)


def voice_names(settings: Settings) -> dict[VoiceProfile, str]:
    """Return the voice of each profile as the first engine names it; a file of Piper's by its stem.

    Raises
    ------
    SettingsError
        If `voices.toml` is wrong.
    """
    voices = load_voices(settings.voices_file)[settings.speech_engine].voices
    if settings.speech_engine == "embedded":
        return {name: one.voice or EMBEDDED_VOICES[name].voice for name, one in voices.items()}
    default = settings.speech_piper_model or Path()
    return {name: one.voice or Path(one.model or default).stem for name, one in voices.items()}


def engine_names(settings: Settings) -> list[str]:
    """Return the engines in the order in which they are asked, each once."""
    return list(dict.fromkeys((settings.speech_engine, *settings.speech_fallback)))
