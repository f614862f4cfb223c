"""`GET /metrics` for Prometheus, and `GET /v1/figures` for a page."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from backend.http import CamelCase, responses, service_of
from plugins.metrics.plugin import Metrics

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
"""What every version of Prometheus reads."""

router = APIRouter()


class Span(BaseModel):
    """Half of `n` values are at most `p50`, 95 % at most `p95`; null if there are none."""

    p50: float | None
    p95: float | None
    n: int


class Minute(CamelCase):
    """One minute: milliseconds of each step, the longest queue of the waves, what failed."""

    at: datetime
    agent_ms: Span
    speech_ms: Span
    waves_ms: Span
    queued: int
    failed: int


class Disk(CamelCase):
    """The disk of the artifacts; what each tree used is at most `ageS` old."""

    free_bytes: int
    total_bytes: int
    used_bytes: dict[str, int]
    used_files: dict[str, int]
    age_s: float | None


class Now(CamelCase):
    """What is so at this moment; a gauge has the name `plugin.gauge`."""

    gauges: dict[str, float]
    disk: Disk
    memory_bytes: dict[str, int]
    sessions_running: int


class Figures(BaseModel):
    """The present, and an entry for each minute of the last hour, newest last."""

    now: Now
    hour: list[Minute]


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    tags=["metrics"],
    responses=responses(HTTPStatus.SERVICE_UNAVAILABLE),
)
async def metrics(service: Annotated[Metrics, Depends(service_of("metrics"))]) -> Response:
    """Tell the figures of the show in Prometheus's text format."""
    return Response(await service.exposition(), media_type=TEXT_FORMAT)


@router.get("/v1/figures", tags=["metrics"], responses=responses(HTTPStatus.SERVICE_UNAVAILABLE))
async def figures(service: Annotated[Metrics, Depends(service_of("metrics"))]) -> Figures:
    """Tell the present figures, and how the last hour was, minute by minute."""
    return Figures.model_validate(await service.figures())
