"""The service of a plugin, the object that its lifespan yields, as a dependency of its routes.

router = APIRouter()

@router.get("/v1/tide")
async def tide(service: Annotated[Tide, Depends(service_of("tide"))]) -> float:
    return service.level
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import HTTPConnection

from backend.http.problems import ProblemError
from backend.plugins import PluginStatuses


def service_of(name: str) -> Callable[[HTTPConnection], Any]:
    """Return the dependency of a route of the plugin called `name`.

    While the plugin does not run, the route answers 503, also to the handshake of a WebSocket.
    """

    def get(connection: HTTPConnection) -> Any:
        board: PluginStatuses = connection.app.state.hosting.board
        service = board.service(name)
        if service is not None:
            return service
        known = board.get(name)
        detail = f"The plugin {name!r} is not running: {known.state if known else 'not installed'}."
        if known and known.state == "disabled":
            detail += f" Switch it on: reflective-resonance plugins enable {name}"
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail)

    return get
