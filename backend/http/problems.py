"""Errors over HTTP as problem details (RFC 9457), without what the client sent."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.routing import Match

MEDIA_TYPE = "application/problem+json"
JSON_TYPE = "application/json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""Those that a route may have; `backend.http.head` answers HEAD where there is GET."""
NOT_JSON = "The body is not JSON."


class FieldProblem(BaseModel):
    """One wrong field of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """A problem details object; `errors` names the fields."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None


class ProblemError(HTTPException):
    """Raise it in a route to answer with a problem."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[FieldProblem] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = list(errors) if errors else None


def problem_response(
    status: int,
    detail: str,
    *,
    errors: list[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the response that carries a problem."""
    title = HTTPStatus(status).phrase
    content = Problem(title=title, status=status, detail=detail, errors=errors)
    return JSONResponse(
        content.model_dump(exclude_none=True),
        status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route declares for the problems it may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


def wrong(errors: Sequence[FieldProblem]) -> ProblemError:
    """Return the problem of wrong fields; its sentence, which clients show, is on the first."""
    first = errors[0]
    message = f"{first.message[0].lower()}{first.message[1:]}"
    detail = f"The request is wrong in {first.field}: {message}."
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def fields(error: RequestValidationError | ValidationError) -> list[FieldProblem]:
    """Return the wrong fields that pydantic found."""
    return [
        FieldProblem(field=_name(item), message=item["msg"].removeprefix("Value error, "))
        for item in error.errors()
    ]


def _described(document: dict[str, Any]) -> dict[str, Any]:
    """Put the problem into the OpenAPI document, and FastAPI's own form of a 422 out of it."""
    template = "#/components/schemas/{model}"
    _, models = models_json_schema([(Problem, "serialization")], ref_template=template)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(models["$defs"])
    for path in document["paths"].values():
        for operation in path.values():
            declared = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(declared):
                del operation["responses"]["422"]
    return document


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem, in its answers and in its OpenAPI document."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        return app.openapi_schema or _described(describe())

    async def not_found(*_: object) -> None:
        raise HTTPException(HTTPStatus.NOT_FOUND)

    app.router.default = not_found  # the framework's own tells a WebSocket nothing
    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it

    @app.exception_handler(ProblemError)
    async def _problem(_: Request, error: ProblemError) -> JSONResponse:
        return problem_response(
            error.status_code, error.detail, errors=error.errors, headers=error.headers
        )

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI: not UTF-8, nested too deeply
            return problem_response(
                HTTPStatus.BAD_REQUEST,
                NOT_JSON,
                errors=[FieldProblem(field="body", message="cannot be read as JSON in UTF-8")],
            )
        detail = HTTPStatus(error.status_code).description or HTTPStatus(error.status_code).phrase
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"allow": ", ".join(_methods(request))}
        return problem_response(error.status_code, detail, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method in {"POST", "PUT"} and content_type != JSON_TYPE:
            return problem_response(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"Send the body as {JSON_TYPE} (header Content-Type).",
            )
        errors = fields(error)
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return problem_response(HTTPStatus.BAD_REQUEST, NOT_JSON, errors=errors)
        return await _problem(request, wrong(errors))

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, __: Exception) -> JSONResponse:
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "An internal error; see the log.")


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes of a path; the framework knows those of one route."""
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": "GET" if method == "HEAD" else method})[0]
            is Match.FULL
            for route in request.app.routes
        )
    ]


def _name(item: Mapping[str, Any]) -> str:
    """Return the dotted name of a field, such as `slots.0.slotId`, for one pydantic error."""
    location = item["loc"]
    if item["type"] == "json_invalid":
        return "body"
    return ".".join(str(part) for part in location if part != "body") or "body"
