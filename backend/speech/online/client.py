"""The engine that asks a speech service over HTTP.

One utterance has one deadline: waiting for a free place, waiting out a rate limit and asking again
all count. What arrives is never copied to disk as it came: `riff` reads it, `wav` writes it anew.
What may pass (a broken connection, an overloaded server, half an answer) is asked again twice at
most; what will not pass (a wrong key, an unknown voice, a web page instead of speech) is not.
"""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx2

from backend.errors import SpeechError
from backend.speech.engine import DEFAULT_TIMEOUT_S, Spoken
from backend.speech.online.background import Background
from backend.speech.online.services import Request, Service, refusal_code
from backend.speech.profiles import VoiceProfile, resolve_profile
from backend.speech.sound import MAX_BODY_BYTES, Samples, TruncatedError, decode, write_speech
from backend.speech.text import clean
from backend.speech.voices import Voice

RETRY_DELAYS_S: Final = (0.3, 1.0)
"""Before the second and the third time; up to half as much again is added at random."""
_JITTER = 0.5
_MAX_REFUSAL_BYTES = 64_000
_CONNECT_TIMEOUT_S = 5.0
_CHECK_TIMEOUT_S = 5.0
_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class _PassingError(SpeechError):
    """Asking again may help, after `retry_after_s` if the service named a time."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RemoteEngine:
    """Speaks with a service.

    Parameters
    ----------
    service : Service
        Whom to ask, and how.
    voices : mapping of VoiceProfile to Voice
        The voice of each profile.
    temporary : Path
        Where WAVs stand while they are being written, on the file system of the artifacts.
    timeout_s : float > 0
        Time one utterance may take, all waiting included.
    max_requests : int > 0
        Requests at once; further utterances wait for a place.
    retry_delays_s : sequence of float
        The pauses before asking again; as many as there may be.
    """

    def __init__(
        self,
        service: Service,
        voices: Mapping[VoiceProfile, Voice],
        *,
        temporary: Path,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_requests: int = 2,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
    ) -> None:
        self._service = service
        self._voices = voices
        self._temporary = temporary
        self._timeout_s = timeout_s
        self._retry_delays_s = retry_delays_s
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
        y, sample_rate = self._background.run(self._speak(request))
        return write_speech(path, y, sample_rate, self._temporary)

    def check(self) -> str:
        """Ask for what costs nothing, once; see `SpeechEngine`."""
        return self._background.run(self._check())

    def close(self) -> None:
        """Break the requests under way off; see `SpeechEngine`."""
        self._background.close()

    async def _speak(self, request: Request) -> tuple[Samples, int]:
        """Return the speech; ask again while that may help and there is time."""
        try:
            async with asyncio.timeout(self._timeout_s) as limit, self._places:
                for delay_s in self._retry_delays_s:
                    await self._wait_out_the_rate_limit(limit)
                    try:
                        return await self._ask(request)
                    except _PassingError as error:
                        await self._pause(error, delay_s, limit)
                await self._wait_out_the_rate_limit(limit)
                return await self._ask(request)
        except TimeoutError:
            raise SpeechError(f"{self.name} gave no speech within {self._timeout_s:g} s") from None

    async def _pause(self, error: _PassingError, delay_s: float, limit: asyncio.Timeout) -> None:
        """Wait before asking again; raise `error` at once if there would be no time left."""
        now = asyncio.get_running_loop().time()
        jitter_s = random.uniform(0, _JITTER * delay_s)  # noqa: S311 - no secret
        if error.retry_after_s is not None:  # a matter of the account: all utterances wait
            self._resume_at = max(self._resume_at, now + error.retry_after_s)
            delay_s = error.retry_after_s
        if now + delay_s + jitter_s >= (limit.when() or now):
            raise error
        await asyncio.sleep(delay_s + jitter_s)

    async def _wait_out_the_rate_limit(self, limit: asyncio.Timeout) -> None:
        now = asyncio.get_running_loop().time()
        if self._resume_at <= now:
            return
        if self._resume_at >= (limit.when() or now):
            raise SpeechError(
                f"{self.name} asked to wait another {self._resume_at - now:.1f} s, "
                "longer than the utterance may"
            )
        await asyncio.sleep(self._resume_at - now)

    async def _ask(self, request: Request) -> tuple[Samples, int]:
        """Ask once."""
        # An error of httpx2 may hold a header's value, and so the key: it is not chained.
        try:
            async with self._open().stream(
                "POST", request.path, params=dict(request.params), json=dict(request.body)
            ) as response:
                if response.status_code != HTTPStatus.OK:
                    raise await self._refusal(response)
                body = await self._read(response)
        except (httpx2.HTTPError, OSError) as error:
            raise _PassingError(f"{self.name} {_describe(error)}") from None
        try:
            return decode(body, raw_rate=self._service.raw_rate)
        except TruncatedError as error:
            raise _PassingError(f"{self.name}: {error}") from None
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

    async def _refusal(self, response: httpx2.Response) -> SpeechError:
        """Return what a refusal means, in words that hold neither text nor key."""
        status = response.status_code
        code = refusal_code(await _read_json(response))
        reason = f"{self.name} answered {status}" + (f" ({code})" if code else "")
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            reason += ": look at the key in .env and at the account"
        elif status == HTTPStatus.NOT_FOUND:
            reason += ": look at voice and model in voices.toml, and at the address"
        if status not in _PASSING or code in {"insufficient_quota", "quota_exceeded"}:
            return SpeechError(reason)
        return _PassingError(reason, _retry_after_s(response.headers.get("retry-after")))

    async def _check(self) -> str:
        try:
            async with (
                asyncio.timeout(_CHECK_TIMEOUT_S),
                self._open().stream("GET", self._service.check_path) as response,
            ):
                if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
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


def _retry_after_s(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a number or a date."""
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
