"""The routes of the show: the WebSocket, and its description."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, WebSocket

from backend.http import service_of
from plugins.show.asyncapi import describe
from plugins.show.connection import serve
from plugins.show.hub import Hub

Service = Annotated[Hub, Depends(service_of("show"))]

router = APIRouter(tags=["show"])


@router.websocket("/v1/events")
async def events(socket: WebSocket, hub: Service, dialect: str | None = None) -> None:
    """Send every event of the show as a text frame."""
    await serve(socket, hub, dialect or hub.dialect)


@router.get("/v1/asyncapi.json")
async def asyncapi(hub: Service) -> dict[str, Any]:
    """Describe the WebSocket `/v1/events` as AsyncAPI 3.0."""
    return describe(hub.base_url)
