"""The engine that requests speech from a service, and its requests by service.

ElevenLabs    POST {url}/v1/text-to-speech/{voice}?output_format=pcm_22050
OpenAI, and   POST {url}/audio/speech
compatible

ElevenLabs is asked for samples without a header, which every plan has at this rate; OpenAI states
no rate for such samples, so it is asked for a WAV.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from backend.errors import SpeechError
from backend.services import Request, RetryableError, Service, ServiceClient
from backend.speech.engine import DEFAULT_TIMEOUT_S, Spoken
from backend.speech.profiles import VoiceProfile, resolve_profile
from backend.speech.sound import MAX_BODY_BYTES, Samples, TruncatedError, decode, write_speech
from backend.speech.text import clean
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


class RemoteEngine(ServiceClient):
    """Speaks with a service; `options` are those of `ServiceClient`."""

    error = SpeechError
    max_bytes = MAX_BODY_BYTES
    model_setting = "voice and model in voices.toml"

    def __init__(
        self,
        service: Service,
        voices: Mapping[VoiceProfile, Voice],
        *,
        temporary: Path,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        **options: Any,
    ) -> None:
        super().__init__(service, timeout_s=timeout_s, **options)
        self._voices = voices
        self._temporary = temporary

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path`; see `SpeechEngine`."""
        voice = self._voices[resolve_profile(voice_profile)]
        request = REQUESTS[self.name](clean(text), voice)
        y, sample_rate = self.request(request, self._decode)
        return write_speech(path, y, sample_rate, self._temporary)

    def _decode(self, body: bytes) -> tuple[Samples, int]:
        """Return the samples and their rate; half an answer may be whole the next time."""
        try:
            return decode(body, raw_rate=RAW_RATES.get(self.name))
        except TruncatedError as error:
            raise RetryableError(str(error)) from None
