"""The pages for a browser: the state of the server, the API, the README."""

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from importlib.metadata import metadata
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from backend.runtime import Hosting

REFRESH_S = 10
STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
dt, summary { font-weight: 600; overflow-wrap: anywhere; }
dd { margin: 0 0 .6rem; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid; font-size: .85rem; }
details { margin: .4rem 0; }
"""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
LINKS = {
    "/docs": "The API",
    "/v1/openapi.json": "The API as OpenAPI",
    "/metrics": "Figures for Prometheus",
    "/readme": "README",
}


def page_router(app: FastAPI, hosting: Hosting) -> APIRouter:
    """Return the routes `/`, `/docs` and `/readme`."""
    router = APIRouter(include_in_schema=False)
    protected = hosting.settings.api_token is not None

    @router.get("/")
    def home(request: Request) -> Response:
        """Show what this server is, and the state of its plugins."""
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"name": app.title, "links": list(LINKS)}, headers=HEADERS)
        state = "<p>Its state needs the token: <code>/v1/health/ready</code>.</p>"
        if not protected:
            plugins = [(name, status.state, status.reason) for name, status in hosting.board]
            rows = (
                f"<dt>{escape(name)}: {escape(state)}</dt><dd>{escape(reason or 'no problem')}</dd>"
                for name, state, reason in [("hearing", *hosting.hearing.state()), *plugins]
            )
            state = f"<p>It accepts sessions. Its parts:</p><dl>{''.join(rows)}</dl>"
        links = "".join(f'<li><a href="{to}">{text}</a></li>' for to, text in LINKS.items())
        body = (
            "<p>The server of an art installation. A visitor speaks, six voices answer, "
            "and water moves with them.</p>"
            f"<h2>State</h2>{state}<h2>Links</h2><ul>{links}</ul>"
        )
        return _page(app.title, body, refresh=not protected)

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


def _page(title: str, body: str, *, refresh: bool = False) -> HTMLResponse:
    again = f'<meta http-equiv="refresh" content="{REFRESH_S}">' if refresh else ""
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{again}<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>",
        headers=HEADERS,
    )
