"""The routes of the console: `/`, `/console`, their files, and what the pages ask for."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from backend.http import CamelCase, PartHealth, ProblemError, problems, service_of
from plugins.console.archive import KeptSession, SessionPage
from plugins.console.plugin import Console

Service = Annotated[Console, Depends(service_of("console"))]

router = APIRouter(tags=["console"])


@router.get("/", include_in_schema=False)
def visitor(request: Request, console: Service) -> Response:
    """Send the visitor's page."""
    return _send(request, console, "visitor.html")


@router.get("/console", include_in_schema=False)
def artist(request: Request, console: Service) -> Response:
    """Send the artist's page."""
    return _send(request, console, "console.html")


@router.get("/page/{path:path}", include_in_schema=False)
def page(path: str, request: Request, console: Service) -> Response:
    """Send a file of the pages."""
    return _send(request, console, path)


class PageState(CamelCase):
    """What a page needs to know before anything else; no token is needed for it."""

    version: str = Field(description="Changes with any file of the pages.")
    token_required: bool
    logged_in: bool = Field(description="Whether the client has the cookie of /v1/login.")
    visitor_open: bool = Field(description="Whether the visitor's page needs no token.")
    hearing: PartHealth


@router.get("/v1/page", responses=problems.responses(503))
async def page_state(request: Request, console: Service) -> PageState:
    """Return which pages these are, and what the client may do."""
    hosting, logins = request.app.state.hosting, request.app.state.logins
    state, reason = hosting.hearing.state()
    return PageState(
        version=console.assets.version,
        token_required=logins.required,
        logged_in=logins.knows(request.cookies),
        visitor_open=console.settings.visitor_open,
        hearing=PartHealth(state=state, reason=reason),
    )


@router.get("/v1/sessions", responses=problems.responses(422, 503))
def sessions(
    console: Service,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        str, Query(max_length=200, description="Only ids before: `next` of the page before.")
    ] = "",
    since: Annotated[
        str, Query(max_length=200, description="Only ids from here, such as 20261129T000000Z.")
    ] = "",
    q: Annotated[
        str, Query(max_length=200, description="Words that all were said by the agents.")
    ] = "",
) -> SessionPage:
    """List the sessions whose speech is kept, newest first."""
    return console.archive.page(limit, since, before, q.casefold().split())


@router.get("/v1/sessions/{sessionId}", responses=problems.responses(404, 503))
def session(session_id: Annotated[str, Path(alias="sessionId")], console: Service) -> KeptSession:
    """Return what is kept of a session."""
    found = console.archive.session(session_id)
    if found is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "No session of that id is kept.")
    return found


def _send(request: Request, console: Console, name: str) -> Response:
    asset = console.assets.files.get(name)
    if asset is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "The page has no file of that name.")
    headers = {
        "cache-control": "no-cache",
        "etag": asset.etag,
        "vary": "accept-encoding",
        "cross-origin-opener-policy": "same-origin",
    }
    if asset.policy:
        headers["content-security-policy"] = asset.policy
        headers["permissions-policy"] = "microphone=(self), camera=(), geolocation=()"
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    content = asset.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = asset.compressed, "gzip"
    return Response(content, media_type=asset.media_type, headers=headers)
