"""The engine that has a service transcribe; it sends a WAV and believes no part of the answer."""

from functools import partial
from typing import Any, Final

from backend.errors import HearingError
from backend.hearing.engine import Transcript
from backend.hearing.online.messages import REQUESTS, read_transcript
from backend.services import Service, ServiceClient

MAX_BODY_BYTES: Final = 1_000_000
"""A minute of speech with the times of its words has a tenth of that."""
MAX_REQUESTS: Final = 4


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
