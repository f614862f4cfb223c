"""Builds the hearing engines that the settings ask for; each is imported only when it is used."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from backend.config import Settings
from backend.errors import SettingsError
from backend.hearing.engine import HearingEngine, knows
from backend.hearing.hearing import TURNED_OFF, Hearing
from backend.services import elevenlabs, openai
from backend.storage import Artifacts

_WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")
"""What a model must have; without the last faster-whisper would fetch it."""
NO_WHEEL = (
    "moonshine-voice has no wheel for this machine: set RR_STT_ENGINE to whisper, openai or "
    "elevenlabs"
)


def _embedded(_: Settings, timeout_s: float) -> HearingEngine:
    from backend.hearing.children import EmbeddedEngine

    return EmbeddedEngine(timeout_s=timeout_s)


def _whisper(settings: Settings, timeout_s: float) -> HearingEngine:
    from backend.hearing.children import WhisperEngine

    if find_spec("faster_whisper") is None:
        raise SettingsError(
            "the hearing engine whisper is not installed: uv sync --inexact --extra whisper"
        )
    if settings.stt_whisper_model is None:
        raise SettingsError(
            "the hearing engine whisper has no model: set RR_STT_WHISPER_MODEL to its folder"
        )
    model = settings.stt_whisper_model.expanduser()
    if missing := [file for file in _WHISPER_FILES if not (model / file).is_file()]:
        raise SettingsError(
            f"RR_STT_WHISPER_MODEL={model} has no {', '.join(missing)}: it must be the folder of a "
            "Whisper model in the format of CTranslate2, which is not downloaded"
        )
    return WhisperEngine(model, timeout_s=timeout_s)


def _openai(settings: Settings, timeout_s: float) -> HearingEngine:
    from backend.hearing.online import RemoteEngine

    service = openai(
        settings.stt_openai_api_key,
        settings.openai_api_key,
        settings.stt_openai_url,
        variable="RR_STT_OPENAI_API_KEY",
        used_by="the hearing engine",
    )
    model = settings.stt_openai_model
    return RemoteEngine(service, model, model_setting="RR_STT_OPENAI_MODEL", timeout_s=timeout_s)


def _elevenlabs(settings: Settings, timeout_s: float) -> HearingEngine:
    from backend.hearing.online import RemoteEngine

    key, url = settings.elevenlabs_api_key, settings.speech_elevenlabs_url
    service = elevenlabs(key, url, used_by="the hearing engine")
    model, setting = settings.stt_elevenlabs_model, "RR_STT_ELEVENLABS_MODEL"
    return RemoteEngine(service, model, model_setting=setting, timeout_s=timeout_s)


_ENGINES: Mapping[str, Callable[[Settings, float], HearingEngine]] = {
    "embedded": _embedded,
    "whisper": _whisper,
    "openai": _openai,
    "elevenlabs": _elevenlabs,
}


def create_hearing_engine(
    name: str, settings: Settings, timeout_s: float | None = None
) -> HearingEngine:
    """Return the engine called `name`, or raise SettingsError for what it lacks."""
    return _ENGINES[name](settings, timeout_s or settings.stt_timeout_s)


def hearing_engine_names(settings: Settings) -> list[str]:
    """Return the engines in the order in which they are asked, each once; none if it is off."""
    if settings.stt_engine == "none":
        return []
    return list(dict.fromkeys((settings.stt_engine, *settings.stt_fallback)))


def create_hearing(
    settings: Settings, artifacts: Artifacts | None, *, include_text: Callable[[], bool] = bool
) -> Hearing:
    """Return hearing with the engines of `settings`; they share the time limit equally.

    Recordings are kept in `artifacts` if `RR_STT_KEEP` is set.
    """
    asked = hearing_engine_names(settings)
    names = [name for name in asked if name != "embedded" or find_spec("moonshine_voice")]
    timeout_s = settings.stt_timeout_s / max(1, len(names))
    engines = [create_hearing_engine(name, settings, timeout_s) for name in names]
    if engines and not any(knows(engine, settings.stt_language) for engine in engines):
        raise SettingsError(
            f"RR_STT_LANGUAGE={settings.stt_language}: {', '.join(names)} does not know that "
            "language: add whisper, openai or elevenlabs to RR_STT_FALLBACK"
        )
    return Hearing(
        engines,
        language=settings.stt_language,
        artifacts=artifacts if settings.stt_keep else None,
        include_text=include_text,
        off_reason=NO_WHEEL if asked else TURNED_OFF,
    )
