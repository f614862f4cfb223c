"""The route that takes a visitor's recording and answers with its transcript.

A recording is held in memory: neither it nor a part of it is written to the disk, unless
`RR_STT_KEEP` is set. At most `HELD_AT_ONCE` of at most `MAX_BODY_BYTES` are held, which take 340 MB
with the copies on their way; a further one is answered with 503. Rejected: `request.form()`,
FastAPI's `File` included, which writes what is over 1 MB to a temporary file, and takes a body
without its end for a whole one.
"""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import Annotated, Final, Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
)
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from backend.errors import HearingBusyError, HearingError, NotAudioError, NotHeardError
from backend.hearing import LANGUAGE_CODE, Heard, Hearing
from backend.http import problems
from backend.http.body_limit import too_large
from backend.http.models import CamelCase, matching
from backend.http.problems import FieldProblem, ProblemError
from backend.http.rate_limit import RateLimit
from backend.runtime import Hosting

log = structlog.get_logger(__name__)

PATH: Final = "/v1/stt"
MAX_BODY_BYTES = 25 * 2**20
BODY_LIMIT_S = 30.0
HELD_AT_ONCE = 10
PER_MINUTE = 20
"""Recordings of one client; a visitor at a kiosk speaks a few times a minute."""
BUSY_S = 2
"""What a client is asked to wait for; a recording takes about a second."""
MAX_FIELDS = 8
MAX_LABEL = 200
MAX_FIELD_BYTES = 10 * MAX_LABEL
RECENT_S = 120.0
_TYPE = "multipart/form-data"

BROKEN = "The recording did not arrive as it should. Please try again."
FAILED = "Speech cannot be understood at the moment. Please try again."
BUSY = "Many people are speaking at this moment. Please try again."
TOO_MANY = "That was often in a short time. Please wait a little, and try again."
TOO_SLOW = "Sending the recording took too long. Please try again."
TURNED_OFF = "Speech is not understood here. Please write instead."
STOPPING = "The installation is being stopped. Please come back later."
TOO_SHORT = "That was too short. Hold the button while you speak."


class RecordingForm(BaseModel):
    """The fields of a request."""

    file: bytes
    language_code: Annotated[
        str,
        AfterValidator(matching(LANGUAGE_CODE, "write a code such as en, or leave it out")),
        Field(json_schema_extra={"pattern": LANGUAGE_CODE}),
    ] = ""
    session_label: Annotated[str, StringConstraints(max_length=MAX_LABEL)] = ""


class SpokenWord(CamelCase):
    """A word, and when it was said, in seconds from the start of the recording."""

    text: str
    start: float = Field(validation_alias="start_s")
    end: float = Field(validation_alias="end_s")
    type: Literal["word"] = "word"


class Transcription(CamelCase):
    """What was understood; the two paths are there only if the recording is kept."""

    stt_session_id: str = Field(validation_alias="heard_id")
    transcript: str = Field(validation_alias=AliasPath("transcript", "text"))
    duration_ms: int
    mime_type: str
    language_code: str = Field(validation_alias=AliasPath("transcript", "language_code"))
    words: list[SpokenWord] | None = Field(validation_alias=AliasPath("transcript", "words"))
    audio_path: str | None = None
    transcript_path: str | None = None
    engine: str = Field(validation_alias=AliasPath("transcript", "engine"))


class RecentTranscripts:
    """Finds the recording in which a message was said, for a client that does not name it.

    Hashes are kept for `RECENT_S`, and no words.
    """

    def __init__(self) -> None:
        self._heard: dict[int, tuple[str, float]] = {}

    def add(self, heard_id: str, transcript: str) -> None:
        """Keep the hash of a transcript, and those that are recent."""
        now = monotonic()
        self._heard = {key: one for key, one in self._heard.items() if now - one[1] < RECENT_S}
        self._heard[hash(transcript.strip())] = heard_id, now

    def find(self, message: str) -> str | None:
        """Return the id of the last recording whose transcript is `message`."""
        heard_id, added_at = self._heard.get(hash(message.strip()), (None, 0.0))
        return heard_id if monotonic() - added_at < RECENT_S else None


def hearing_router(hosting: Hosting, recent: RecentTranscripts) -> APIRouter:
    """Return the route of recordings; what is understood is added to `recent`."""
    router = APIRouter(tags=["sessions"])
    rate = RateLimit(PER_MINUTE)
    held = asyncio.Semaphore(HELD_AT_ONCE)

    @router.post(
        PATH,
        response_model=Transcription,
        response_model_exclude_none=True,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {_TYPE: {"schema": RecordingForm.model_json_schema()}},
            }
        },
        responses=problems.responses(400, 408, 413, 415, 422, 429, 502, 503),
    )
    async def transcribe(request: Request) -> Heard:
        """Return what a visitor says in a recording, as a browser makes it."""
        wait_s = rate.wait_s(request.client.host if request.client else "")
        if wait_s:
            raise _later(HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY, wait_s)
        if hosting.hearing.state()[0] == "disabled":
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, TURNED_OFF)
        if held.locked():
            raise _later(HTTPStatus.SERVICE_UNAVAILABLE, BUSY, BUSY_S)
        async with held:
            try:
                heard = await _transcribe(hosting.hearing, await _read(request))
            except ProblemError as problem:
                log.info("recording refused", status=problem.status_code, detail=problem.detail)
                raise
        recent.add(heard.heard_id, heard.transcript.text)
        return heard

    return router


class _InMemory(MultiPartParser):
    """Reads a form into memory, whatever its size; the body has a limit."""

    spool_max_size = MAX_BODY_BYTES
    is_whole = False

    def on_end(self) -> None:
        """Note that the body ends as it should."""
        self.is_whole = True


async def _read(request: Request) -> RecordingForm:
    """Return the recording, its language and its label."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Send the recording as {_TYPE} (header Content-Type).",
        )
    form = await _form(request)
    file = form.get("file")
    data = await file.read() if isinstance(file, UploadFile) else None
    await form.close()  # one copy is enough
    if data is None:
        raise _broken("file", "is missing" if file is None else "has no filename")
    try:
        recording = RecordingForm.model_validate({**form, "file": data})
    except ValidationError as error:
        raise problems.wrong(problems.fields(error)) from error
    if not data:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, TOO_SHORT)
    return recording


async def _form(request: Request) -> FormData:
    """Return the fields of a request that has arrived as a whole."""

    async def whole() -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk
        if not parser.is_whole:
            raise MultiPartException("the multipart body has no end")

    parser = _InMemory(
        request.headers,
        whole(),
        max_files=1,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise _broken("body", error.message) from error
    except ClientDisconnect as error:  # nobody reads this answer
        raise _broken("body", "the client has disconnected") from error
    except HTTPException as error:  # of `BodyLimit`
        is_slow = error.status_code == HTTPStatus.REQUEST_TIMEOUT
        detail = TOO_SLOW if is_slow else too_large(MAX_BODY_BYTES)
        raise ProblemError(HTTPStatus(error.status_code), detail) from error


async def _transcribe(hearing: Hearing, form: RecordingForm) -> Heard:
    try:
        return await hearing.hear(
            form.file, language_code=form.language_code, label=form.session_label
        )
    except HearingBusyError as error:
        raise _later(HTTPStatus.SERVICE_UNAVAILABLE, BUSY, error.retry_after_s) from error
    except NotAudioError as error:
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error)) from error
    except NotHeardError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    except HearingError as error:
        log.error("a recording could not be transcribed", reason=str(error))
        raise ProblemError(HTTPStatus.BAD_GATEWAY, FAILED) from error
    except asyncio.CancelledError as error:  # the server stops, and its answer is all that is left
        log.warning("a recording was not transcribed: the host stops")
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, STOPPING) from error


def _broken(field: str, message: str) -> ProblemError:
    errors = [FieldProblem(field=field, message=message)]
    return ProblemError(HTTPStatus.BAD_REQUEST, BROKEN, errors=errors)


def _later(status: HTTPStatus, detail: str, wait_s: float) -> ProblemError:
    return ProblemError(status, detail, headers={"retry-after": str(ceil(wait_s))})
