"""The requests for speech, by service.

ElevenLabs    POST {url}/v1/text-to-speech/{voice}?output_format=pcm_22050
OpenAI, and   POST {url}/audio/speech
compatible

ElevenLabs is asked for samples without a header, which every plan has at this rate; OpenAI states
no rate for such samples, so it is asked for a WAV.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from backend.services import Request
from backend.speech.voices import Voice

RAW_RATES: Final[Mapping[str, int]] = MappingProxyType({"elevenlabs": 22_050})
"""The rate in Hertz of samples without a header; the others send WAVs."""


def _elevenlabs(text: str, voice: Voice) -> Request:
    settings = {"speed": voice.speed}
    if voice.style is not None:
        settings["style"] = voice.style
    body = {"text": text, "model_id": voice.model, "voice_settings": settings}
    path = f"/v1/text-to-speech/{quote(voice.voice, safe='')}"
    return Request(path, {"json": body}, {"output_format": f"pcm_{RAW_RATES['elevenlabs']}"})


def _openai(text: str, voice: Voice) -> Request:
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
    return Request("/audio/speech", {"json": body})


REQUESTS: Final[Mapping[str, Callable[[str, Voice], Request]]] = MappingProxyType(
    {"elevenlabs": _elevenlabs, "openai": _openai}
)
"""Return the request for a text in a voice."""
