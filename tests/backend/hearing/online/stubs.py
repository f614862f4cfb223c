"""Services that transcribe, on loopback; see `tests.backend.speech.stubs` for their modes."""

import io
import json
import wave
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.backend.speech.stubs import HTML, KEY, ElevenLabsStub, OpenAIStub, Stub

WORDS = "The rain is xqcanary."
EMPTY = json.dumps({"text": " "}).encode()
BODIES = {
    "empty": lambda: ("application/json", EMPTY),
    "HTML with 200": lambda: ("text/html", HTML),
    "empty body": lambda: ("application/json", b""),
    "a list": lambda: ("application/json", b'["The rain"]'),
    "no text": lambda: ("application/json", b'{"text": 5}'),
    "too long": lambda: ("application/json", EMPTY + b" " * 1_000_000),
    "half a JSON": lambda: ("application/json", b'{"text": "The ra'),
}


class _Transcribing(Stub):
    """What both have in common: a multipart request with a WAV."""

    bodies = BODIES

    def parse(self, headers: Any, body: bytes) -> Any:
        head = f"content-type: {headers['content-type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + body)
        fields: dict[str, Any] = {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
            for part in message.iter_parts()
        }
        with wave.open(io.BytesIO(fields.pop("file"))) as file:
            pcm = file.readframes(file.getnframes())
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        text = {name: value.decode() for name, value in fields.items()}
        return {"pcm": pcm, "form": form, "fields": text}

    def audio(self) -> tuple[str, bytes]:
        return "application/json", json.dumps(self.answer()).encode()

    def answer(self) -> dict[str, Any]:
        """Return a good answer."""
        raise NotImplementedError


class OpenAITranscriber(_Transcribing, OpenAIStub):
    """POST /v1/audio/transcriptions."""

    def complaint(self, path: str, headers: Any, body: Any) -> str | None:
        if path != "/v1/audio/transcriptions":
            return "path"
        if headers["authorization"] != f"Bearer {KEY}":
            return "authorization"
        fields = body["fields"]
        times = fields.get("timestamp_granularities[]") == "word"
        if times != (fields["response_format"] == "verbose_json"):
            return "timestamp_granularities"
        if times and fields["model"].startswith("gpt-"):
            return "response_format"
        return None if {"model", "language"} < set(fields) else "fields"

    def answer(self) -> dict[str, Any]:
        words = [("The", 0, 0.25), (" rain", 0.25, 0.5), ("is", 0.5, 0.5)]
        entries = [{"word": word, "start": start, "end": end} for word, start, end in words]
        verbose = {"language": "english", "duration": 1.0, "words": entries}
        asked = self.seen[-1]["body"]["fields"]["response_format"]
        return {"text": f" {WORDS}\n", **(verbose if asked == "verbose_json" else {})}


class Scribe(_Transcribing, ElevenLabsStub):
    """POST /v1/speech-to-text."""

    def complaint(self, path: str, headers: Any, body: Any) -> str | None:
        if path != "/v1/speech-to-text":
            return "path"
        if headers["xi-api-key"] != KEY:
            return "headers"
        known = {"model_id", "language_code", "tag_audio_events"}
        return None if known == set(body["fields"]) else "fields"

    def answer(self) -> dict[str, Any]:
        words = [
            {"text": "The", "start": 0, "end": 0.25, "type": "word", "logprob": -0.1},
            {"text": " ", "start": 0.25, "end": 0.25, "type": "spacing"},
            {"text": "rain", "start": 0.25, "end": 0.5, "type": "word"},
            {"text": "(drips)", "start": 0.3, "end": 0.4, "type": "audio_event"},
            {"text": "is", "start": 0.5, "end": 0.5, "type": "word"},
        ]
        return {"language_code": "eng", "text": WORDS, "words": words}


TRANSCRIBERS: dict[str, type[_Transcribing]] = {
    "elevenlabs": Scribe,
    "openai": OpenAITranscriber,
}
