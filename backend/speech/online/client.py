"""The engine that requests speech from a service over HTTP.

One utterance has one deadline, which covers waiting for a free place, rate limits and retries.
Answers are decoded and written anew, never copied to disk. Passing failures (a broken connection,
an overloaded server, half an answer) are retried; a wrong key or an unknown voice is not.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx2

from backend.errors import SpeechError
from backend.services import RETRIED_STATUSES, RetryableError, RetryPolicy, retry_after_s
from backend.speech.engine import DEFAULT_TIMEOUT_S, Spoken
from backend.speech.online.background import Background
from backend.speech.online.services import Request, Service, refusal_code
from backend.speech.profiles import VoiceProfile, resolve_profile
from backend.speech.sound import MAX_BODY_BYTES, Samples, TruncatedError, decode, write_speech
from backend.speech.text import clean
from backend.speech.voices import Voice

RETRY_POLICY: Final = RetryPolicy(pause_s=0.6)
_MAX_REFUSAL_BYTES = 64_000
_CONNECT_TIMEOUT_S = 5.0
_CHECK_TIMEOUT_S = 5.0
_KEY_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class RemoteEngine:
    """Speaks with a service.

    `timeout_s` covers all waiting of one utterance; more than `max_requests` at once wait.
    """

    def __init__(
        self,
        service: Service,
        voices: Mapping[VoiceProfile, Voice],
        *,
        temporary: Path,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_requests: int = 2,
        policy: RetryPolicy = RETRY_POLICY,
    ) -> None:
        self._service = service
        self._voices = voices
        self._temporary = temporary
        self._timeout_s = timeout_s
        self._policy = policy
        self._places = asyncio.Semaphore(max_requests)
        self._client: httpx2.AsyncClient | None = None
        self._resume_at = 0.0
        self._background = Background(f"speech of {service.name}", self._close_client)

    @property
    def name(self) -> str:
        """The service's name."""
        return self._service.name

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path`; see `SpeechEngine`."""
        voice = self._voices[resolve_profile(voice_profile)]
        request = self._service.request(clean(text), voice)
        y, sample_rate = self._background.run(partial(self._speak, request))
        return write_speech(path, y, sample_rate, self._temporary)

    def check(self) -> str:
        """Ask for what costs nothing, once; see `SpeechEngine`."""
        return self._background.run(self._check)

    def close(self) -> None:
        """Break the requests under way off; see `SpeechEngine`."""
        self._background.close()

    async def _speak(self, request: Request) -> tuple[Samples, int]:
        """Return the speech, requested again while that may help and there is time."""
        ends_at = asyncio.get_running_loop().time() + self._timeout_s
        ask = partial(self._ask, request, ends_at)
        try:
            async with asyncio.timeout_at(ends_at), self._places:
                return await self._policy.run(ask, service=self.name, ends_at=ends_at)
        except TimeoutError:
            raise SpeechError(f"{self.name} gave no speech within {self._timeout_s:g} s") from None
        except RetryableError as error:
            raise SpeechError(str(error)) from None

    async def _wait_for_rate_limit(self, ends_at: float) -> None:
        left_s = self._resume_at - asyncio.get_running_loop().time()
        if left_s > 0 and self._resume_at >= ends_at:
            raise SpeechError(
                f"{self.name} asked to wait another {left_s:.1f} s, longer than the utterance may"
            )
        await asyncio.sleep(left_s)

    async def _ask(self, request: Request, ends_at: float) -> tuple[Samples, int]:
        """Send one request and return the speech in its answer."""
        await self._wait_for_rate_limit(ends_at)
        # An error of httpx2 may hold a header's value, and so the key: it is not chained.
        try:
            async with self._open().stream(
                "POST", request.path, params=dict(request.params), json=dict(request.body)
            ) as response:
                if response.status_code != HTTPStatus.OK:
                    raise await self._refusal(response)
                body = await self._read(response)
        except (httpx2.HTTPError, OSError) as error:
            raise RetryableError(f"{self.name} {_describe(error)}") from None
        try:
            return decode(body, raw_rate=self._service.raw_rate)
        except TruncatedError as error:
            raise RetryableError(f"{self.name}: {error}") from None
        except SpeechError as error:
            raise SpeechError(f"{self.name}: {error}") from None

    async def _read(self, response: httpx2.Response) -> bytes:
        """Return the body, as long as it stays within bounds."""
        coding = response.headers.get("content-encoding", "identity")
        if coding != "identity":  # which was not asked for, and may be a thousand times as long
            raise SpeechError(f"{self.name} sent compressed speech, which was not asked for")
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise SpeechError(f"{self.name} sent more than {MAX_BODY_BYTES} bytes")
        return bytes(body)

    async def _refusal(self, response: httpx2.Response) -> SpeechError | RetryableError:
        """Return the error for a refusal; its message holds neither text nor key."""
        status = response.status_code
        code = refusal_code(await _read_json(response))
        reason = f"{self.name} answered {status}" + (f" ({code})" if code else "")
        if status in _KEY_REFUSED:
            reason += ": look at the key in .env and at the account"
        elif status == HTTPStatus.NOT_FOUND:
            reason += ": look at voice and model in voices.toml, and at the address"
        if status not in RETRIED_STATUSES or code in {"insufficient_quota", "quota_exceeded"}:
            return SpeechError(reason)
        asked_s = retry_after_s(response.headers)
        if asked_s is not None:  # the limit is the account's: all utterances wait
            resume_at = asyncio.get_running_loop().time() + asked_s
            self._resume_at = max(self._resume_at, resume_at)
        return RetryableError(reason, asked_s)

    async def _check(self) -> str:
        try:
            async with (
                asyncio.timeout(_CHECK_TIMEOUT_S),
                self._open().stream("GET", self._service.check_path) as response,
            ):
                if response.status_code in _KEY_REFUSED:
                    raise SpeechError(str(await self._refusal(response)))
                return f"reachable (status {response.status_code})"
        except TimeoutError:
            raise SpeechError(f"{self.name} did not answer in {_CHECK_TIMEOUT_S:g} s") from None
        except (httpx2.HTTPError, OSError) as error:
            raise SpeechError(f"{self.name} {_describe(error)}") from None

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                base_url=self._service.url,
                headers={**self._service.headers, "accept-encoding": "identity"},
                timeout=httpx2.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            )
        return self._client

    async def _close_client(self) -> None:
        if self._client is not None:
            await self._client.aclose()


async def _read_json(response: httpx2.Response) -> object:
    """Return a refusal's JSON; None if it is none, or too long for one."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > _MAX_REFUSAL_BYTES:
            return None
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer


def _describe(error: Exception) -> str:
    """Return what went wrong on the way."""
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return "cannot be reached: look at the network and the address"
    return f"broke the connection off ({type(error).__name__})"
