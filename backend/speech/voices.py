"""The voices of each engine: the built-in ones, changed by `voices.toml`.

[elevenlabs]                      # for all profiles of an engine
model = "eleven_multilingual_v2"
max_requests = 3
[elevenlabs.calm_soothing]        # for one of them
voice = "EXAVITQu4vr4xnSDxMaL"
speed = 0.9
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from backend.config import line_of, read_toml
from backend.errors import SettingsError
from backend.speech.profiles import DESCRIPTIONS, PROFILES, VoiceProfile


@dataclass(frozen=True, slots=True)
class Voice:
    """How one engine speaks one profile."""

    voice: str = ""
    """The engine's name or id of a voice; with Piper the speaker, if a model has several."""
    model: str = ""
    """The service's model; with Piper the path of the ONNX file."""
    speed: float = 1.0
    """Factor on the usual speed."""
    style: float | None = None
    """Exaggeration of the voice's style, 0 to 1."""
    instructions: str | None = None
    """How to speak, in words."""


@dataclass(frozen=True, slots=True)
class EngineVoices:
    """The voices of one engine."""

    voices: Mapping[VoiceProfile, Voice]
    max_requests: int
    """Utterances that it speaks at once; further ones wait."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """What `voices.toml` may say of one engine."""

    keys: tuple[str, ...]
    speeds: tuple[float, float]
    max_requests: int
    """The default."""


_ENGINES: Final[Mapping[str, _Limits]] = {
    "embedded": _Limits(("voice", "speed"), (0.5, 2.0), 6),
    # The smallest plan of ElevenLabs allows two requests at once.
    "elevenlabs": _Limits(("voice", "model", "speed", "style"), (0.7, 1.2), 2),
    "openai": _Limits(("voice", "model", "speed", "instructions"), (0.25, 4.0), 6),
    "piper": _Limits(("voice", "model", "speed"), (0.5, 2.0), 2),  # each keeps a core busy
}
ELEVENLABS_MODEL: Final = "eleven_flash_v2_5"
"""The model with the shortest delay."""
_OPENAI_MODEL: Final = "gpt-4o-mini-tts"
_ELEVENLABS: Final[Mapping[VoiceProfile, Voice]] = {
    "friendly_casual": Voice("cgSgspJ2msm6clMCkdW9"),  # Jessica
    "warm_professional": Voice("nPczCjzI2devNBz1zQrb"),  # Brian
    "energetic_upbeat": Voice("FGY2WhTYpPnrIDTdsKH5", speed=1.1),  # Laura
    "calm_soothing": Voice("EXAVITQu4vr4xnSDxMaL", speed=0.9),  # Sarah
    "confident_charming": Voice("JBFqnCBsd6RMkjVDRZzb"),  # George, British
    "playful_expressive": Voice("pFZP5JQG7iQjIQuC4Bku", style=0.4),  # Lily
}
_OPENAI: Final[Mapping[VoiceProfile, str]] = {
    "friendly_casual": "coral",
    "warm_professional": "sage",
    "energetic_upbeat": "nova",
    "calm_soothing": "shimmer",
    "confident_charming": "fable",
    "playful_expressive": "ballad",
}


def _built_in(engine: str, profile: VoiceProfile, elevenlabs_model: str) -> Voice:
    if engine == "elevenlabs":
        return replace(_ELEVENLABS[profile], model=elevenlabs_model)
    if engine == "openai":
        return Voice(
            _OPENAI[profile], _OPENAI_MODEL, instructions=f"Speak {DESCRIPTIONS[profile]}."
        )
    return Voice()


def load_voices(
    path: Path | None = None, *, elevenlabs_model: str = ELEVENLABS_MODEL
) -> Mapping[str, EngineVoices]:
    """Return the voices by engine, changed by the file at `path`, or raise SettingsError."""
    tables, text = read_toml(path, "RR_VOICES_FILE") if path is not None else ({}, "")
    problems = [f"{path}, line {_line(text, problem)}: {problem}" for problem in _problems(tables)]
    if problems:
        raise SettingsError("\n".join(problems))
    return {
        engine: _engine_voices(engine, tables.get(engine, {}), path, elevenlabs_model)
        for engine in _ENGINES
    }


def _line(text: str, problem: str) -> int:
    """Return the line that a problem, which begins with its table and key, is about."""
    match = re.match(r"(?:\[(?P<table>[^\]]*)\] ?)?(?P<key>\w*)", problem)
    return line_of(text, match["table"] or "", match["key"]) if match else 1


def _engine_voices(
    engine: str, table: Mapping[str, Any], path: Path | None, elevenlabs_model: str
) -> EngineVoices:
    common = {key: value for key, value in table.items() if key in _ENGINES[engine].keys}
    voices = {}
    for profile in PROFILES:
        given = common | table.get(profile, {})
        if engine == "piper" and "model" in given and path is not None:  # relative to the file
            given["model"] = str(path.parent / Path(given["model"]).expanduser())
        voices[profile] = replace(_built_in(engine, profile, elevenlabs_model), **given)
    return EngineVoices(voices, table.get("max_requests", _ENGINES[engine].max_requests))


def _problems(tables: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong, one line for each wrong entry."""
    for engine, table in tables.items():
        if engine not in _ENGINES:
            yield f"[{engine}]: no such engine; there are {', '.join(_ENGINES)}"
            continue
        if not isinstance(table, dict):
            yield f"{engine}: must be a table, written [{engine}]"
            continue
        for key, value in table.items():
            if key == "max_requests":
                if type(value) is not int or not 1 <= value <= 64:
                    yield f"[{engine}] max_requests = {value!r}: must be a number from 1 to 64"
            elif isinstance(value, dict):
                yield from _profile_problems(engine, key, value)
            else:
                yield from _key_problems(engine, f"[{engine}]", key, value)


def _profile_problems(engine: str, profile: str, table: Mapping[str, Any]) -> Iterator[str]:
    if profile not in PROFILES:
        yield f"[{engine}.{profile}]: no such profile; there are {', '.join(PROFILES)}"
        return
    for key, value in table.items():
        yield from _key_problems(engine, f"[{engine}.{profile}]", key, value)


def _key_problems(engine: str, where: str, key: str, value: object) -> Iterator[str]:
    entry = f"{where} {key} = {value!r}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    low, high = _ENGINES[engine].speeds if key == "speed" else (0.0, 1.0)
    if key not in _ENGINES[engine].keys:
        yield f"{entry}: {engine} takes {', '.join(_ENGINES[engine].keys)} and max_requests"
    elif key in {"speed", "style"}:
        if not number or not low <= float(str(value)) <= high:
            yield f"{entry}: must be a number from {low:g} to {high:g}"
    elif not isinstance(value, str) or not value.strip():
        yield f"{entry}: must be a text"
