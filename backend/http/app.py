"""The web application and its routes."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Literal

import anyio
import structlog
from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.middleware.cors import CORSMiddleware

from backend.agents import AgentProfile, Agents
from backend.agents import State as AgentCondition
from backend.config import Settings
from backend.http import hearing, problems
from backend.http.access import EXPOSED, Access, admitted_origins
from backend.http.body_limit import BodyLimit, Limits
from backend.http.doctor import doctor_router
from backend.http.head import Head
from backend.http.login import Logins, login_router
from backend.http.models import CamelCase, PartHealth, matching
from backend.http.operations import operations_router
from backend.http.pages import links_router, page_router
from backend.http.problems import ProblemError
from backend.http.recordings import audio_router
from backend.http.slots import Arrangement, SlotChoices, known_slots, slots_router
from backend.http.switches import PluginRoutes, switches_router
from backend.http.voices import voices_router
from backend.plugins import Discovered
from backend.runner import TooManySessionsError
from backend.runtime import Hosting
from backend.sessions import SessionStream

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024
PING_S = 15
STOP_GRACE_S = 3.0
"""sse-starlette ends a stream that long after a stop; the session's `done` comes before."""
RETRY_AFTER_S = 10
SESSION_ID_HEADER = "x-session-id"


_HEARD_ID = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
HeardId = Annotated[
    str,
    AfterValidator(matching(_HEARD_ID, "send it as /v1/stt answered it, or leave it out")),
    Field(json_schema_extra={"pattern": _HEARD_ID}),
]


class ChatRequest(CamelCase):
    """What a visitor said, and the agents that answer; without `slots`, those of `/v1/slots`."""

    message: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    slots: SlotChoices = Field(default_factory=list)
    stt_session_id: HeardId | None = Field(
        None, description="The sttSessionId of the recording in which it was said."
    )
    session_start: bool = Field(False, description="Whether the stream begins with session.start.")


class AgentInfo(CamelCase):
    """One agent and its state; `answered_by` is the model of its last answer, maybe a fallback.

    `rehearses`: no model can answer, so it costs nothing.
    """

    id: str
    name: str
    provider: str
    description: str
    color: str
    state: AgentCondition
    failing_since: datetime | None
    reason: str | None
    answered_by: str | None
    rehearses: bool


class AgentList(BaseModel):
    """The agents a slot may be given."""

    agents: list[AgentInfo]


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """The host accepts sessions, `degraded` if a plugin or the last utterance's speech has failed.

    Each part has its own state.
    """

    status: Literal["ready", "degraded"]
    speech: PartHealth
    hearing: PartHealth
    plugins: dict[str, PartHealth]


class ResetResult(CamelCase):
    """The slots whose conversation was deleted."""

    status: str = "ok"
    cleared_slots: list[int]


def create_app(
    settings: Settings | None = None, discovered: Iterable[Discovered] | None = None
) -> FastAPI:
    """Build the application, by default with the settings and plugins of this installation."""
    hosting = Hosting(settings or Settings.load(), discovered)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with hosting.running():
            yield

    app = FastAPI(
        title="Reflective Resonance",
        version=version("reflective-resonance"),
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        responses=problems.responses(401, 403, 421, 500),
        docs_url=None,
        redoc_url=None,
    )
    app.state.hosting = hosting
    problems.install(app)
    app.state.logins = logins = Logins(hosting.settings.api_token)
    _guard(app, hosting, logins)
    recent = hearing.RecentTranscripts()
    arrangement = Arrangement(hosting.artifacts, hosting.registry)
    _add_routes(app, hosting, recent, arrangement)
    app.include_router(login_router(logins))
    app.include_router(slots_router(arrangement, hosting.agents))
    app.include_router(hearing.hearing_router(hosting, recent))
    app.include_router(audio_router(hosting.artifacts))
    app.include_router(operations_router(hosting))
    app.include_router(doctor_router(hosting.settings, hosting.artifacts))
    app.include_router(voices_router(hosting))
    app.include_router(links_router(app.title))
    routes = PluginRoutes(app, hosting)
    app.include_router(switches_router(hosting, routes))
    for plugin, _ in hosting.plugins.values():
        routes.add(plugin)
    app.include_router(page_router(app))  # its `/` is there if no plugin has one
    return app


def _guard(app: FastAPI, hosting: Hosting, logins: Logins) -> None:
    """Add the middleware; a request passes the last one first."""
    settings = hosting.settings
    recording = Limits(hearing.MAX_BODY_BYTES, hearing.BODY_LIMIT_S)
    app.add_middleware(
        BodyLimit,
        limits=Limits(MAX_BODY_BYTES, settings.request_limit_s),
        of_paths={hearing.PATH: recording},
    )
    origins = admitted_origins(settings)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=problems.METHODS,
            allow_headers=["*"],
            allow_private_network=True,  # Access has admitted the origin
            expose_headers=EXPOSED,
        )
    app.add_middleware(Access, settings=settings, logins=logins, board=hosting.board)
    app.add_middleware(Head)


def _add_routes(
    app: FastAPI, hosting: Hosting, recent: hearing.RecentTranscripts, arrangement: Arrangement
) -> None:
    @app.post(
        "/v1/chat",
        response_class=EventSourceResponse,
        tags=["sessions"],
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "The session's events."},
            **problems.responses(400, 408, 413, 415, 422, 503),
        },
    )
    async def chat(request: ChatRequest) -> EventSourceResponse:
        """Start a session; the answer is the stream of its events."""
        slots = known_slots(request.slots, hosting.registry) or arrangement.slots
        heard_id = request.stt_session_id or recent.find(request.message)
        try:
            stream = hosting.runner.start(request.message, slots, heard_id)
        except TooManySessionsError as error:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                str(error),
                headers={"retry-after": str(RETRY_AFTER_S)},
            ) from error
        return EventSourceResponse(
            _frames(stream, session_start=request.session_start),
            ping=PING_S,
            shutdown_event=anyio.Event(),
            shutdown_grace_period=STOP_GRACE_S,
            headers={
                SESSION_ID_HEADER: stream.session_id,
                "x-accel-buffering": "no",
            },
        )

    @app.get("/v1/agents", tags=["agents"])
    async def agents() -> AgentList:
        """List the agents a slot may be given."""
        return AgentList(agents=[_agent_info(agent, hosting.agents) for agent in hosting.registry])

    @app.get("/v1/health", tags=["health"])
    async def health() -> Health:
        """Answer, to show that the process runs."""
        return Health()

    @app.get("/v1/health/ready", tags=["health"])
    async def ready() -> Readiness:
        """Return the state of speech, hearing and each plugin; none makes the host unready."""
        state, reason = hosting.hearing.state()
        mute = hosting.workflow.speech_problem
        failed = any(status.state == "failed" for _, status in hosting.board)
        return Readiness(
            status="degraded" if failed or mute else "ready",
            speech=PartHealth(state="degraded" if mute else "ok", reason=mute),
            hearing=PartHealth(state=state, reason=reason),
            plugins={
                name: PartHealth(state=status.state, reason=status.reason)
                for name, status in hosting.board
            },
        )

    @app.post("/v1/reset", tags=["agents"])
    async def reset() -> ResetResult:
        """Delete the conversation of every slot."""
        return ResetResult(cleared_slots=hosting.agents.reset())


def _agent_info(agent: AgentProfile, agents: Agents) -> AgentInfo:
    state = agents.state(agent.id)
    return AgentInfo(
        id=agent.id,
        name=agent.name,
        provider=agent.provider,
        description=agent.description,
        color=agent.color,
        state=state.state,
        failing_since=state.since,
        reason=state.reason,
        answered_by=state.answered_by,
        rehearses=agent.id in agents.rehearsing,
    )


async def _frames(stream: SessionStream, *, session_start: bool) -> AsyncIterator[ServerSentEvent]:
    """Yield the events; the page of the earlier version does not know `session.start`."""
    async for _, event in stream.read(after=0 if session_start else 1):
        yield ServerSentEvent(event.data(), event=event.name, sep="\n")
