"""`GET /metrics`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse

from backend.http import responses, service_of
from plugins.metrics.plugin import Metrics

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
"""What every version of Prometheus reads."""

router = APIRouter()


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    tags=["metrics"],
    responses=responses(HTTPStatus.SERVICE_UNAVAILABLE),
)
async def metrics(service: Annotated[Metrics, Depends(service_of("metrics"))]) -> Response:
    """Tell the figures of the show in Prometheus's text format."""
    return Response(await service.exposition(), media_type=TEXT_FORMAT)
