"""The speech services: their requests, and the codes of their refusals.

ElevenLabs    POST {url}/v1/text-to-speech/{voice}?output_format=pcm_22050, key in `xi-api-key`;
              refusals as {"detail": {"status": code, "message"}} or {"detail": [...]}
OpenAI, and   POST {url}/audio/speech, key in `Authorization: Bearer`; refusals as
compatible    {"error": {"message", "type", "code"}}

ElevenLabs is asked for samples without a header, which every plan has at this rate; OpenAI states
no rate for such samples, so it is asked for a WAV. A refusal's message is never shown, since it may
quote the text or a part of the key; known codes are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from backend.speech.voices import Voice

ELEVENLABS_URL: Final = "https://api.elevenlabs.io"
OPENAI_URL: Final = "https://api.openai.com/v1"

KNOWN_CODES: Final = frozenset(
    {
        "billing_not_active",
        "detected_unusual_activity",
        "insufficient_quota",
        "invalid_api_key",
        "max_character_limit_exceeded",
        "missing_permissions",
        "model_not_found",
        "quota_exceeded",
        "rate_limit_exceeded",
        "system_busy",
        "too_many_concurrent_requests",
        "voice_not_found",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """The request for one utterance."""

    path: str
    body: Mapping[str, Any] = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """A speech service: its address and its requests."""

    name: str
    url: str
    """The address before every path, without a slash at its end."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers that hold the key."""
    check_path: str
    """A path that costs nothing, and shows that the service answers and takes the key."""
    raw_rate: int | None
    """The rate in Hertz of samples without a header; None if it sends WAVs."""
    request: Callable[[str, Voice], Request] = field(repr=False)
    """Returns the request for a text in a voice."""


def elevenlabs(key: str, url: str = ELEVENLABS_URL) -> Service:
    """Return ElevenLabs' text to speech."""
    raw_rate = 22_050

    def request(text: str, voice: Voice) -> Request:
        settings = {"speed": voice.speed}
        if voice.style is not None:
            settings["style"] = voice.style
        body = {"text": text, "model_id": voice.model, "voice_settings": settings}
        path = f"/v1/text-to-speech/{quote(voice.voice, safe='')}"
        return Request(path, body, {"output_format": f"pcm_{raw_rate}"})

    return Service("elevenlabs", url, {"xi-api-key": key}, "/v1/models", raw_rate, request)


def openai(key: str = "", url: str = OPENAI_URL) -> Service:
    """Return OpenAI's speech, or a server that takes the same requests."""

    def request(text: str, voice: Voice) -> Request:
        body: dict[str, Any] = {
            "model": voice.model,
            "voice": voice.voice,
            "input": text,
            "response_format": "wav",
        }
        if voice.speed != 1:
            body["speed"] = voice.speed
        if voice.instructions and not voice.model.startswith("tts-1"):  # which refuse them
            body["instructions"] = voice.instructions
        return Request("/audio/speech", body)

    headers = {"authorization": f"Bearer {key}"} if key else {}
    return Service("openai", url, headers, "/models", None, request)


def refusal_code(answer: object) -> str | None:
    """Return the known code in a refusal's JSON, if there is one."""
    if not isinstance(answer, dict):
        return None
    for part in (answer.get("detail"), answer.get("error")):
        if isinstance(part, dict):
            for key in ("status", "code", "type"):
                code = part.get(key)
                if isinstance(code, str) and code in KNOWN_CODES:
                    return code
    return None
