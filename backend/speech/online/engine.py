"""The engine that requests speech from a service; what it gets is decoded and written anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import SpeechError
from backend.services import RetryableError, Service, ServiceClient
from backend.speech.engine import DEFAULT_TIMEOUT_S, Spoken
from backend.speech.online.requests import RAW_RATES, REQUESTS
from backend.speech.profiles import VoiceProfile, resolve_profile
from backend.speech.sound import MAX_BODY_BYTES, Samples, TruncatedError, decode, write_speech
from backend.speech.text import clean
from backend.speech.voices import Voice


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
