"""The routes of the console: `/`, `/console`, their files, and what the pages ask for."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from backend.http import ProblemError, service_of
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


def _send(request: Request, console: Console, name: str) -> Response:
    asset = console.assets.files.get(name)
    if asset is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "The page has no file of that name.")
    headers = {
        "cache-control": "no-cache",
        "etag": asset.etag,
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
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
