"""The engine that has a service transcribe; it sends a WAV and believes no part of the answer."""

from functools import partial
from typing import Any, Final

from backend.errors import HearingError
from backend.hearing.engine import Transcript
from backend.hearing.online.messages import REQUESTS, read_transcript
from backend.services import Service

MAX_BODY_BYTES: Final = 1_000_000
"""A minute of speech with the times of its words has a tenth of that."""
MAX_REQUESTS: Final = 4


class RemoteEngine:
    """Transcribes with `model` of a service; `options` are those of its client."""

    languages = None

    def __init__(
        self, service: Service, model: str, *, model_setting: str, timeout_s: float, **options: Any
    ) -> None:
        from backend.services.client import ServiceClient  # imports httpx2

        self.service = service
        self.model = model
        self._client = ServiceClient(
            service,
            error=HearingError,
            model_setting=model_setting,
            max_bytes=MAX_BODY_BYTES,
            timeout_s=timeout_s,
            max_requests=MAX_REQUESTS,
            **options,
        )
        self.check, self.close = self._client.check, self._client.close

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    def transcribe(self, pcm: bytes, language_code: str) -> Transcript:
        """Return the words in `pcm`; see `HearingEngine`."""
        request = REQUESTS[self.name](pcm, self.model, language_code)
        read = partial(read_transcript, language_code=language_code, engine=self.name)
        return self._client.request(request, read)
