"""The route that switches a plugin on or off while the server runs."""

from http import HTTPStatus

import structlog
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, Field

from backend.config import is_loopback
from backend.errors import PluginError
from backend.http import problems
from backend.http.models import PartHealth
from backend.http.problems import ProblemError
from backend.plugins import Plugin
from backend.runtime import Hosting

log = structlog.get_logger(__name__)


class SwitchRequest(BaseModel):
    """Whether a plugin shall run."""

    enabled: bool = Field(description="With true it starts, with its settings read anew.")


def switches_router(hosting: Hosting, routes: "PluginRoutes") -> APIRouter:
    """Return the route; a plugin that is switched on gets its routes."""
    router = APIRouter(tags=["plugins"])
    protected = hosting.settings.api_token is not None

    @router.post(
        "/v1/plugins/{name}",
        responses=problems.responses(400, 403, 404, 408, 409, 413, 415, 422, 503),
    )
    async def switch(name: str, wanted: SwitchRequest, request: Request) -> PartHealth:
        """Stop a plugin in order, or start it again; the settings stay as they are."""
        client = request.client.host if request.client else ""
        passed_on = {"forwarded", "x-forwarded-for", "x-real-ip"} & {*request.headers}
        if not protected and (passed_on or not is_loopback(client)):
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "Only this machine may switch plugins as long as RR_API_TOKEN is not set.",
            )
        if hosting.switches is None:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "The server starts or stops.")
        if hosting.board.get(name) is None:
            known = ", ".join(name for name, _ in hosting.board)
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"There is no such plugin; there are {known}. If it was "
                "installed after the server started, start the server again.",
            )
        try:
            status = await hosting.switches.switch(name, enabled=wanted.enabled)
        except PluginError as error:
            raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error
        if wanted.enabled and (plugin := hosting.switches.plugin(name)) is not None:
            routes.add(plugin)
        return PartHealth(state=status.state, reason=status.reason)

    return router


class PluginRoutes:
    """Adds the routes of plugins, each once, after the routes that the application has now."""

    def __init__(self, app: FastAPI, hosting: Hosting) -> None:
        self._app = app
        self._hosting = hosting
        self._added: set[str] = set()
        self._place = len(app.router.routes)

    def add(self, plugin: Plugin) -> None:
        """Add the routes of a plugin, if it has any."""
        if plugin.router is None or plugin.name in self._added:
            return
        routes = self._app.router.routes
        end = len(routes)
        try:
            self._app.include_router(plugin.resolve("router"))
        except Exception:
            log.exception("routes of a plugin not added", plugin=plugin.name)
            problem = "its routes could not be added; see the log"
            self._hosting.board.set(plugin.name, "degraded", problem)
            return
        added = routes[end:]
        del routes[end:]
        routes[self._place : self._place] = added
        self._place += len(added)
        self._added.add(plugin.name)
        self._app.openapi_schema = None
