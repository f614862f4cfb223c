"""The speech services: what each is asked, and what its refusals mean.

ElevenLabs    POST {url}/v1/text-to-speech/{voice}?output_format=pcm_22050, key in `xi-api-key`;
              refusals as {"detail": {"status": code, "message"}} or {"detail": [...]}
OpenAI, and   POST {url}/audio/speech, key in `Authorization: Bearer`; refusals as
compatible    {"error": {"message", "type", "code"}}

ElevenLabs is asked for bare samples: every plan has them at this rate, and a header written before
the end is known says nothing true. OpenAI's bare samples have no stated rate, so it is asked for a
WAV. A refusal's message is never shown, since it may quote the text or a part of the key; the codes
that are known are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol
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
    """One utterance as a service is asked for it."""

    path: str
    body: Mapping[str, Any] = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict)


class Service(Protocol):
    """What differs between the services."""

    name: ClassVar[str]
    raw_rate: ClassVar[int | None]
    """The rate of the bare samples it is asked for, in Hertz; None if it sends WAVs."""
    check_path: ClassVar[str]
    """What can be asked for nothing, to see that it answers and takes the key."""

    @property
    def url(self) -> str:
        """What all paths begin with, without a slash at its end."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that carry the key."""

    def request(self, text: str, voice: Voice) -> Request:
        """Return how `text` is asked for in `voice`."""


@dataclass(frozen=True, slots=True)
class ElevenLabs:
    """ElevenLabs' text to speech."""

    name: ClassVar[str] = "elevenlabs"
    raw_rate: ClassVar[int | None] = 22_050
    check_path: ClassVar[str] = "/v1/models"

    key: str = field(repr=False)
    url: str = ELEVENLABS_URL

    @property
    def headers(self) -> Mapping[str, str]:
        """See `Service`."""
        return {"xi-api-key": self.key}

    def request(self, text: str, voice: Voice) -> Request:
        """See `Service`."""
        settings = {"speed": voice.speed}
        if voice.style is not None:
            settings["style"] = voice.style
        body = {"text": text, "model_id": voice.model, "voice_settings": settings}
        path = f"/v1/text-to-speech/{quote(voice.voice, safe='')}"
        return Request(path, body, {"output_format": f"pcm_{self.raw_rate}"})


@dataclass(frozen=True, slots=True)
class OpenAISpeech:
    """OpenAI's speech, and every server that takes the same request."""

    name: ClassVar[str] = "openai"
    raw_rate: ClassVar[int | None] = None
    check_path: ClassVar[str] = "/models"

    key: str | None = field(repr=False, default=None)
    url: str = OPENAI_URL

    @property
    def headers(self) -> Mapping[str, str]:
        """See `Service`."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def request(self, text: str, voice: Voice) -> Request:
        """See `Service`."""
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
