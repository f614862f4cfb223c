"""The route of the NATS plugin: the description of what it publishes."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from backend.http import service_of
from plugins.nats.asyncapi import describe
from plugins.nats.settings import NatsSettings

router = APIRouter(tags=["nats"])


@router.get("/v1/nats/asyncapi.json")
async def asyncapi(
    settings: Annotated[NatsSettings, Depends(service_of("nats"))],
) -> dict[str, Any]:
    """Describe the subjects `rr.<installation>.<signal>` as AsyncAPI 3.0."""
    return describe(settings)
