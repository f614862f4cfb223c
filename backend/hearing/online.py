"""The engine that has a service transcribe: its requests by service, and their answers.

OpenAI, and   POST {url}/audio/transcriptions, multipart: `file`, `model`, `language`,
compatible    `response_format`; {"text", "words": [{"word", "start", "end"}]}, the words only in
              `verbose_json`, which of OpenAI's models whisper alone takes; some servers put them
              into `segments`
ElevenLabs    POST {url}/v1/speech-to-text, multipart: `file`, `model_id`, `language_code`;
              {"text", "words": [{"text", "start", "end", "type"}]}, where `type` is "word",
              "spacing" or "audio_event"
"""

import io
import json
import wave
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from backend.errors import HearingError
from backend.hearing.engine import SAMPLE_RATE, Transcript, Word
from backend.services import Request, RetryableError, Service, ServiceClient

MAX_BODY_BYTES: Final = 1_000_000
"""A minute of speech with the times of its words has a tenth of that."""
MAX_REQUESTS: Final = 4


def _openai(pcm: bytes, model: str, language_code: str) -> Request:
    fields = {"model": model, "language": language_code, "response_format": "json"}
    if "whisper" in model.lower():
        fields |= {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    return Request("/audio/transcriptions", {"data": fields, "files": _file(pcm)})


def _elevenlabs(pcm: bytes, model: str, language_code: str) -> Request:
    fields = {"model_id": model, "language_code": language_code, "tag_audio_events": "false"}
    return Request("/v1/speech-to-text", {"data": fields, "files": _file(pcm)})


REQUESTS: Final[Mapping[str, Callable[[bytes, str, str], Request]]] = MappingProxyType(
    {"elevenlabs": _elevenlabs, "openai": _openai}
)
"""Return the request for the transcript of PCM by a model in a language."""


def read_transcript(body: bytes, *, language_code: str, engine: str) -> Transcript:
    """Return what a service answered, or raise RetryableError or HearingError."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise RetryableError("the answer is not JSON") from None
    text = answer.get("text") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        raise HearingError("the answer has no text")
    return Transcript(_clean(text), language_code, engine, tuple(_words(answer)) or None)


def _words(answer: Mapping[str, Any]) -> Iterator[Word]:
    """Yield the words that have a text and possible times."""
    places = [answer, *_dicts(answer.get("segments"))]
    for entry in (entry for place in places for entry in _dicts(place.get("words"))):
        text, times = entry.get("word", entry.get("text")), (entry.get("start"), entry.get("end"))
        if not isinstance(text, str) or entry.get("type", "word") != "word":
            continue
        match times:
            case int() | float() as start_s, int() | float() as end_s:
                if 0 <= start_s <= end_s < float("inf") and (word := _clean(text)):
                    yield Word(word, float(start_s), float(end_s))


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _clean(text: str) -> str:
    """Return `text` with single spaces, as text that UTF-8 can hold."""
    return " ".join(text.split()).encode("utf-8", "replace").decode()


def _file(pcm: bytes) -> dict[str, tuple[str, bytes, str]]:
    """Return the file of a multipart request: `pcm` as a WAV."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(pcm)
    return {"file": ("speech.wav", buffer.getvalue(), "audio/wav")}


class RemoteEngine(ServiceClient):
    """Transcribes with `model` of a service; `options` are those of `ServiceClient`."""

    error = HearingError
    max_bytes = MAX_BODY_BYTES
    languages = None

    def __init__(self, service: Service, model: str, *, model_setting: str, **options: Any) -> None:
        super().__init__(service, max_requests=MAX_REQUESTS, **options)
        self.model = model
        self.model_setting = model_setting

    def transcribe(self, pcm: bytes, language_code: str) -> Transcript:
        """Return the words in `pcm`; see `HearingEngine`."""
        request = REQUESTS[self.name](pcm, self.model, language_code)
        read = partial(read_transcript, language_code=language_code, engine=self.name)
        return self.request(request, read)
