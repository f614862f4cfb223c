"""Serve finished recordings, whole or one byte range.

Starlette's FileResponse was rejected: it sends 200 before it opens the file. Here the file is
opened first, so a session that is deleted at that moment gives a 404 or a full body.
"""

import os
import re
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated, BinaryIO

import structlog
from fastapi import APIRouter, Query, Request, Response
from pydantic.json_schema import SkipJsonSchema
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from backend.errors import ArtifactError
from backend.http import problems
from backend.http.peaks import MAX_PEAKS, Peaks, peaks_of
from backend.http.problems import JSON_TYPE, ProblemError
from backend.storage import RECORDING_TYPES, Artifacts, WavError

log = structlog.get_logger(__name__)

CHUNK_BYTES = 64 * 1024
CACHED = "private, max-age=31536000, immutable"
NOT_CACHED = "no-store"
"""What a visitor said is kept here and nowhere else."""
_CONTENT: dict[str, dict[str, str]] = {kind: {} for kind in RECORDING_TYPES.values()}
_CONTENT_OR_PEAKS = {**_CONTENT, JSON_TYPE: {"schema": Peaks.model_json_schema()}}
_SINGLE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def audio_router(artifacts: Artifacts) -> APIRouter:
    """Return the routes below `/v1/audio`."""
    router = APIRouter(tags=["audio"])

    @router.get(
        "/v1/audio/{path:path}",
        response_class=Response,
        responses={
            200: {"content": _CONTENT_OR_PEAKS, "description": "The recording, or its peaks."},
            206: {"content": _CONTENT, "description": "One range of the recording."},
            304: {"description": "The copy of the client is current."},
            **problems.responses(404, 415, 416, 422),
        },
    )
    def audio(
        path: str,
        request: Request,
        peaks: Annotated[
            int | SkipJsonSchema[None],
            Query(
                ge=1,
                le=MAX_PEAKS,
                description="Answer with the smallest and the largest sample of so many equal "
                "parts of a WAV, instead of with the recording.",
            ),
        ] = None,
    ) -> Response:
        """Serve a finished WAV below `tts/` or `waves/`, or a visitor's recording below `stt/`."""
        try:
            if not request.scope["path"].endswith(path):  # the route's regex drops a line break
                raise ArtifactError("a line break after the path")
            file = _open(artifacts, path)
        except (ArtifactError, OSError, ValueError) as error:
            log.debug("recording not served", path=path[:200], reason=str(error))
            raise ProblemError(
                HTTPStatus.NOT_FOUND, "No finished recording has that name."
            ) from error
        return _answer(file, request, path, peaks)

    return router


def _open(artifacts: Artifacts, path: str) -> BinaryIO:
    descriptor = os.open(
        artifacts.served(path),
        os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0),
    )
    return os.fdopen(descriptor, "rb")


def _answer(file: BinaryIO, request: Request, path: str, peaks: int | None) -> Response:
    status = os.fstat(file.fileno())
    size = status.st_size
    etag = f'"{status.st_mtime_ns:x}-{size:x}"'
    headers = {
        "accept-ranges": "bytes",
        "cache-control": NOT_CACHED if path.startswith("stt/") else CACHED,
        "content-type": RECORDING_TYPES[PurePosixPath(path).suffix],
        "etag": etag,
    }
    cached = request.headers.get("if-none-match", "").split(",")
    if {tag.strip().removeprefix("W/") for tag in cached} & {etag, "*"}:
        file.close()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if peaks:
        return _peaks(file, peaks, headers)
    wanted = request.headers.get("range", "")
    if request.headers.get("if-range", etag) != etag:
        wanted = ""
    try:
        span = _span(wanted, size)
    except ValueError as error:
        file.close()
        raise ProblemError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The recording has {size} bytes; ask for a range within them.",
            headers={"content-range": f"bytes */{size}"},
        ) from error
    if span is None:
        return _FileResponse(file, 0, size, HTTPStatus.OK, headers)
    start, stop = span
    headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    return _FileResponse(file, start, stop - start, HTTPStatus.PARTIAL_CONTENT, headers)


def _peaks(file: BinaryIO, count: int, headers: dict[str, str]) -> Response:
    with file:
        try:
            peaks = peaks_of(file, count)
        except WavError as error:
            raise ProblemError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Only a WAV has peaks: {error}."
            ) from error
    headers = {**headers, "accept-ranges": "none", "content-type": JSON_TYPE}
    return Response(peaks.model_dump_json(by_alias=True), headers=headers)


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Return the bytes [start, stop) of a Range header (RFC 9110, 14.2), None for all bytes."""
    match = _SINGLE_RANGE.fullmatch(header.strip())
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise ValueError(header)
    return start, stop


class _FileResponse(Response):
    """Send `length` bytes of an open file from `start`, then close it."""

    def __init__(
        self, file: BinaryIO, start: int, length: int, status: HTTPStatus, headers: dict[str, str]
    ) -> None:
        super().__init__(status_code=status, headers={**headers, "content-length": str(length)})
        self._file = file
        self._start = start
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        with self._file as file:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            remaining = self._length
            file.seek(self._start)
            while remaining > 0:
                chunk = await run_in_threadpool(file.read, min(CHUNK_BYTES, remaining))
                if not chunk:
                    raise OSError("a published recording became shorter while it was served")
                remaining -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
