"""The pages of a server for a browser, without the console: links, the API, the README."""

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from importlib.metadata import metadata
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

SUMMARY = (
    "The server of an art installation. A visitor speaks, six voices answer, and water moves with "
    "them."
)
STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
summary { font-weight: 600; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid; font-size: .85rem; }
details { margin: .4rem 0; }
"""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
LINKS = {
    "/v1/health/ready": "The state of speech, of hearing and of each plugin",
    "/docs": "The API",
    "/v1/openapi.json": "The API as OpenAPI",
    "/metrics": "Figures for Prometheus",
    "/readme": "README",
}


class _ForPrograms(APIRoute):
    """A route for clients that accept JSON; a browser that opens a page does not."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        accepted = Headers(scope=scope).get("accept", "")
        return super().matches(scope) if "application/json" in accepted else (Match.NONE, {})


def links_router(title: str) -> APIRouter:
    """Return the route `/` as JSON, which is there beside the page of a plugin."""
    router = APIRouter(include_in_schema=False, route_class=_ForPrograms)

    @router.get("/")
    def links() -> JSONResponse:
        """Tell what this server is and where its pages are."""
        return JSONResponse({"name": title, "links": list(LINKS)}, headers=HEADERS)

    return router


def page_router(app: FastAPI) -> APIRouter:
    """Return the routes `/`, `/docs` and `/readme`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def home() -> Response:
        """Show what this server is, and where to go on."""
        links = "".join(f'<li><a href="{to}">{text}</a></li>' for to, text in LINKS.items())
        return _page(app.title, f"<p>{SUMMARY}</p><ul>{links}</ul>")

    @router.get("/docs")
    def docs() -> Response:
        """Show the description of the API."""
        document = app.openapi()
        schemas = document["components"]["schemas"]
        body = "<h2>Requests</h2>" + "".join(_operations(document["paths"]))
        body += "<h2>Schemas</h2>" + "".join(
            _details(name, _code(schema)) for name, schema in sorted(schemas.items())
        )
        return _page(f"{app.title}: the API", f'<p><a href="/">Back</a></p>{body}')

    @router.get("/readme")
    def readme() -> Response:
        """Show the README of the installed package."""
        package = metadata("reflective-resonance")
        text = package.get_payload() or package["description"] or ""  # type: ignore[attr-defined]  # an email.Message
        return PlainTextResponse(text, headers=HEADERS)

    return router


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            shown = ("parameters", "requestBody", "responses")
            rest = {key: operation[key] for key in shown if key in operation}
            text = f"<p>{escape(operation.get('description', ''))}</p>{_code(rest)}"
            yield _details(f"{method.upper()} {path}", text)


def _details(summary: str, body: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def _code(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>",
        headers=HEADERS,
    )
