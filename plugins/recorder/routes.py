"""The routes of replays."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from backend.errors import ArtifactError
from backend.http import CamelCase, ProblemError, problems, service_of
from backend.tracking import RecordingError
from plugins.recorder.replays import LAST, Replay, Replays

Service = Annotated[Replays, Depends(service_of("recorder"))]

router = APIRouter(tags=["replays"])


class ReplayRequest(CamelCase):
    """What is to be replayed, how fast, and to whom."""

    session_id: str = Field(LAST, max_length=100, description="Id of the session, or `last`.")
    speed: float | None = Field(
        1.0, gt=0, le=1000, description="Times as fast; null is as fast as possible."
    )
    loop: bool = Field(False, description="Whether it begins again at its end.")
    from_s: float = Field(0.0, ge=0, description="Seconds of the session that are left out.")
    to: list[str] = Field([], max_length=50, description="Plugins; by default all that present.")
    lease_s: float | None = Field(
        None, ge=1, le=3600, description="Seconds after which it ends if nobody asks how far it is."
    )


class ReplayState(CamelCase):
    """A replay; `sessionId` is that of its present round."""

    id: int
    session_id: str
    replayed_from: str
    to: list[str]
    running: bool
    rounds: int
    emitted: int
    signals: int
    duration_s: float
    skipped: dict[str, int]


@router.post("/v1/replays", status_code=201, responses=problems.responses(404, 409, 422))
async def start(request: ReplayRequest, replays: Service) -> ReplayState:
    """Emit the signals of a recorded session again; no file of the session is written."""
    try:
        recording = await run_in_threadpool(replays.read, request.session_id)
    except (RecordingError, ArtifactError) as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from error
    try:
        replay = replays.start(
            recording,
            to=request.to,
            speed=request.speed,
            loop=request.loop,
            from_s=request.from_s,
            lease_s=request.lease_s,
        )
    except RecordingError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error
    return _state(replay)


@router.get("/v1/replays")
async def latest(replays: Service) -> list[ReplayState]:
    """Return the replays that run and the latest that have ended; no lease begins anew."""
    return [_state(replay) for replay in replays.all.values()]


@router.get("/v1/replays/{replay_id}", responses=problems.responses(404))
async def state(replay_id: int, replays: Service) -> ReplayState:
    """Return how far a replay is, and begin its lease anew."""
    replay = _find(replays, replay_id)
    replays.renew(replay)
    return _state(replay)


@router.delete("/v1/replays/{replay_id}", status_code=204, responses=problems.responses(404))
async def stop(replay_id: int, replays: Service) -> Response:
    """End a replay."""
    await replays.stop(_find(replays, replay_id))
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _find(replays: Replays, replay_id: int) -> Replay:
    if replay_id not in replays.all:
        raise ProblemError(HTTPStatus.NOT_FOUND, "There is no replay of that number.")
    return replays.all[replay_id]


def _state(replay: Replay) -> ReplayState:
    recording = replay.recording
    return ReplayState(
        id=replay.id,
        session_id=replay.session_id,
        replayed_from=recording.session_id,
        to=sorted(replay.to),
        running=replay.running,
        rounds=replay.rounds,
        emitted=replay.emitted,
        signals=len(recording.signals),
        duration_s=round(recording.duration_s, 3),
        skipped=recording.skipped,
    )
