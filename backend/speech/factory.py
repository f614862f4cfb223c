"""Builds the speech engines that the settings ask for; each is imported only when it is used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from backend.config import Settings
from backend.errors import SettingsError
from backend.speech.engine import DEFAULT_TIMEOUT_S, SpeechEngine
from backend.speech.profiles import EMBEDDED_VOICES
from backend.speech.voices import EngineVoices, load_voices


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Voices, addresses and keys."""

    voices: Mapping[str, EngineVoices] = field(default_factory=load_voices)
    """By the name of the engine."""
    elevenlabs_key: str | None = field(default=None, repr=False)
    elevenlabs_url: str = ""
    openai_key: str | None = field(default=None, repr=False)
    openai_url: str = ""
    piper_model: Path | None = None
    """The model of the profiles to which `voices.toml` gives none."""


def _embedded(voices: EngineVoices, _: Options, **common: Any) -> SpeechEngine:
    from backend.speech.espeak import EmbeddedEngine

    mapped = {
        profile: replace(
            EMBEDDED_VOICES[profile],
            voice=voice.voice or EMBEDDED_VOICES[profile].voice,
            rate_wpm=round(EMBEDDED_VOICES[profile].rate_wpm * voice.speed),
        )
        for profile, voice in voices.voices.items()
    }
    return EmbeddedEngine(voices=mapped, **common)


def _elevenlabs(voices: EngineVoices, options: Options, **common: Any) -> SpeechEngine:
    from backend.speech.online import ELEVENLABS_URL, ElevenLabs, RemoteEngine

    if not options.elevenlabs_key:
        raise SettingsError("the speech engine elevenlabs needs a key: set ELEVENLABS_API_KEY")
    service = ElevenLabs(
        _usable_key("ELEVENLABS_API_KEY", options.elevenlabs_key),
        options.elevenlabs_url.rstrip("/") or ELEVENLABS_URL,
    )
    return RemoteEngine(service, voices.voices, **common)


def _openai(voices: EngineVoices, options: Options, **common: Any) -> SpeechEngine:
    from backend.speech.online import OPENAI_URL, OpenAISpeech, RemoteEngine

    url = options.openai_url.rstrip("/") or OPENAI_URL
    if url == OPENAI_URL and not options.openai_key:
        raise SettingsError("the speech engine openai needs a key: set OPENAI_API_KEY")
    key = options.openai_key
    service = OpenAISpeech(_usable_key("RR_SPEECH_OPENAI_API_KEY", key) if key else None, url)
    return RemoteEngine(service, voices.voices, **common)


def _piper(voices: EngineVoices, options: Options, **common: Any) -> SpeechEngine:
    from backend.speech.piper import PiperEngine, is_installed

    if not is_installed():
        raise SettingsError(
            "the speech engine piper is not installed: uv sync --inexact --extra piper"
        )
    default = "" if options.piper_model is None else str(options.piper_model.expanduser())
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
    name: str,
    *,
    temporary: Path,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    options: Options | None = None,
) -> SpeechEngine:
    """Return the engine called `name`, one of `ENGINES`.

    Raises
    ------
    SettingsError
        If there is no such engine, it lacks a key, a model or its package, or the time limit is
        not a positive number.
    """
    if name not in _ENGINES:
        known = ", ".join(ENGINES)
        raise SettingsError(f"there is no speech engine {name!r}: choose one of {known}")
    if not 0 < timeout_s < float("inf"):
        raise SettingsError(f"the time limit of speech must be above 0 seconds, not {timeout_s}")
    options = options or Options()
    voices = options.voices[name]
    return _ENGINES[name](
        voices,
        options,
        temporary=temporary,
        timeout_s=timeout_s,
        max_requests=voices.max_requests,
    )


def create_speech(settings: Settings, temporary: Path) -> SpeechEngine:
    """Return the engine of `settings` and its fallbacks, which share the time limit equally.

    Raises
    ------
    SettingsError
        As `create_engine`, or if `voices.toml` is wrong.
    """
    options = options_of(settings)
    names = engine_names(settings)
    engines = [
        create_engine(
            name,
            temporary=temporary,
            timeout_s=settings.speech_timeout_s / len(names),
            options=options,
        )
        for name in names
    ]
    if len(engines) == 1:
        return engines[0]
    from backend.speech.fallback import FallbackEngine

    return FallbackEngine(engines)


def engine_names(settings: Settings) -> list[str]:
    """Return the engines in the order in which they are asked, each once."""
    return list(dict.fromkeys((settings.speech_engine, *settings.speech_fallback)))


def options_of(settings: Settings) -> Options:
    """Return the engines' options in `settings`."""
    openai_key = settings.speech_openai_api_key  # OpenAI's own key goes to no other server
    if openai_key is None and not settings.speech_openai_url:
        openai_key = settings.openai_api_key
    return Options(
        voices=load_voices(settings.voices_file, elevenlabs_model=settings.speech_elevenlabs_model),
        elevenlabs_key=_revealed(settings.elevenlabs_api_key),
        elevenlabs_url=settings.speech_elevenlabs_url,
        openai_key=_revealed(openai_key),
        openai_url=settings.speech_openai_url,
        piper_model=settings.speech_piper_model,
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value().strip() if secret is not None else None


def _usable_key(variable: str, key: str) -> str:
    """Return `key` if an HTTP header can hold it; the error does not show it."""
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(f"{variable} holds a space or a character that no key has")
    return key
