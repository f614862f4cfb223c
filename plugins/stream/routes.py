"""`GET /v1/sessions/{id}/events`: a session's events as server-sent events, from any point on.

A reader that comes back sends the last id it has seen as `Last-Event-ID`, which browsers do by
themselves, and gets what came after it; 204 once it has seen all there will ever be, at which a
browser stops coming back. An id that this stream never gave is ignored, as the HTML standard lets a
server do, and the events come from the start: a browser cannot change the id it sends, and takes
every error for the end.
"""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Header, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from backend.http import ProblemError, problems, service_of
from plugins.stream.session_logs import SessionLog, SessionLogs

PING_S = 15
STOP_GRACE_S = 3.0
"""At a stop of the server the session still gets to its `done`; see `backend.http.app`."""
MAX_ID_DIGITS = 9

router = APIRouter()


@router.get(
    "/v1/sessions/{session_id}/events",
    response_class=EventSourceResponse,
    tags=["sessions"],
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "The session's events."},
        204: {"description": "You have seen them all."},
        **problems.responses(404, 503),
    },
)
async def events(
    session_id: str,
    logs: Annotated[SessionLogs, Depends(service_of("stream"))],
    last_event_id: Annotated[
        str | None, Header(description="The last id you have seen; the answer goes on after it.")
    ] = None,
) -> Response:
    """Read a session's events again, from the start or from where you were."""
    log = logs.find(session_id)
    if log is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "No session of that id is known any more.")
    after = _seen(last_event_id, len(log))
    if log.closed and after == len(log):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    stopping = anyio.Event()
    return EventSourceResponse(
        _frames(logs, log, after, stopping),
        ping=PING_S,
        shutdown_event=stopping,
        shutdown_grace_period=STOP_GRACE_S,
        headers={"x-accel-buffering": "no"},
    )


def _seen(last_event_id: str | None, count: int) -> int:
    """Return how many events a reader has seen; 0 if its id is none of this stream's."""
    given = last_event_id or ""
    if not (given.isascii() and given.isdigit() and len(given) <= MAX_ID_DIGITS):
        return 0
    return int(given) if int(given) <= count else 0


async def _frames(
    logs: SessionLogs, log: SessionLog, after: int, stopping: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    logs.readers += 1
    try:
        async for number, entry in log.read(after, stopping):
            yield ServerSentEvent(entry.data, event=entry.name, id=str(number), sep="\n")
    finally:
        logs.readers -= 1
