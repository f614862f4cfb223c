"""The speech engines there are, by name, and the chain of them that the settings ask for.

An engine's module is imported when the engine is asked for: one that speaks over the network need
not be paid for by a show that does not use it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from backend.config import Settings
from backend.errors import SettingsError
from backend.speech.engine import DEFAULT_TIMEOUT_S, SpeechEngine
from backend.speech.profiles import EMBEDDED_VOICES
from backend.speech.voices import EngineVoices, load_voices


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What engines need beyond a place for their files."""

    voices: Mapping[str, EngineVoices] = field(default_factory=load_voices)
    """By the name of the engine."""
    elevenlabs_key: str | None = field(default=None, repr=False)
    elevenlabs_url: str = ""
    openai_key: str | None = field(default=None, repr=False)
    openai_url: str = ""
    piper_model: Path | None = None
    """The model of the profiles to which `voices.toml` gives none."""


_Build = Callable[[EngineVoices, Path, float, Options], SpeechEngine]


def _embedded(voices: EngineVoices, temporary: Path, timeout_s: float, _: Options) -> SpeechEngine:
    from backend.speech.espeak import EmbeddedEngine

    mapped = {
        profile: replace(
            EMBEDDED_VOICES[profile],
            voice=voice.voice or EMBEDDED_VOICES[profile].voice,
            rate_wpm=round(EMBEDDED_VOICES[profile].rate_wpm * voice.speed),
        )
        for profile, voice in voices.voices.items()
    }
    return EmbeddedEngine(
        temporary=temporary,
        timeout_s=timeout_s,
        max_requests=voices.max_requests,
        voices=MappingProxyType(mapped),
    )


def _elevenlabs(
    voices: EngineVoices, temporary: Path, timeout_s: float, options: Options
) -> SpeechEngine:
    from backend.speech.online import ELEVENLABS_URL, ElevenLabs, RemoteEngine

    if not options.elevenlabs_key:
        raise SettingsError("the speech engine elevenlabs needs a key: set ELEVENLABS_API_KEY")
    service = ElevenLabs(
        _usable_key("ELEVENLABS_API_KEY", options.elevenlabs_key),
        options.elevenlabs_url.rstrip("/") or ELEVENLABS_URL,
    )
    return RemoteEngine(
        service,
        voices.voices,
        temporary=temporary,
        timeout_s=timeout_s,
        max_requests=voices.max_requests,
    )


def _openai(
    voices: EngineVoices, temporary: Path, timeout_s: float, options: Options
) -> SpeechEngine:
    from backend.speech.online import OPENAI_URL, OpenAISpeech, RemoteEngine

    url = options.openai_url.rstrip("/") or OPENAI_URL
    if url == OPENAI_URL and not options.openai_key:
        raise SettingsError("the speech engine openai needs a key: set OPENAI_API_KEY")
    key = options.openai_key
    service = OpenAISpeech(_usable_key("RR_SPEECH_OPENAI_API_KEY", key) if key else None, url)
    return RemoteEngine(
        service,
        voices.voices,
        temporary=temporary,
        timeout_s=timeout_s,
        max_requests=voices.max_requests,
    )


def _piper(
    voices: EngineVoices, temporary: Path, timeout_s: float, options: Options
) -> SpeechEngine:
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
    return PiperEngine(
        mapped, temporary=temporary, timeout_s=timeout_s, max_requests=voices.max_requests
    )


_ENGINES: dict[str, _Build] = {
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
    """Return the engine called `name`.

    Parameters
    ----------
    name : str
        One of `ENGINES`.
    temporary : Path
        Where WAVs stand while they are being written, on the file system of the artifacts.
    timeout_s : float > 0
        Time limit of one utterance.
    options : Options, optional
        Voices, addresses and keys.

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
    return _ENGINES[name](options.voices[name], temporary, timeout_s, options)


def create_speech(settings: Settings, temporary: Path) -> SpeechEngine:
    """Return the engine of `settings`, with its fallbacks behind it.

    The time limit of an utterance is shared among them, so that a service that hangs leaves time
    for the next.

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
    """Return what the engines take from `settings`.

    OpenAI's key goes to OpenAI alone: a server elsewhere gets the key that is meant for it.
    """
    openai_key = settings.speech_openai_api_key
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
    """Return `key` if it can stand in a header; the error does not show it."""
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(f"{variable} holds a space or a character that no key has")
    return key
