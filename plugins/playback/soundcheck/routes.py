"""The routes of the sound check, for the page and for the command."""

from http import HTTPStatus
from typing import Annotated
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Depends, Response
from starlette.concurrency import run_in_threadpool

from backend.http import ProblemError, problems, service_of
from plugins.playback.player import STOPPED, Player
from plugins.playback.routes import router as playback
from plugins.playback.soundcheck.checks import Check, SoundCheck, StartedCheck

Service = Annotated[Player, Depends(service_of("playback"))]

router = APIRouter(tags=["playback"])
router.include_router(playback)

_CHECKS: WeakKeyDictionary[Player, SoundCheck] = WeakKeyDictionary()
"""The sound check of each player, with the output that was open at its latest signal."""


@router.post("/v1/playback/soundcheck", responses=problems.responses(404, 409, 422, 503))
async def start(check: Check, player: Service) -> StartedCheck:
    """Play a test signal on a channel in the place of the one before, never over its cap."""
    output = player.output
    busy = "a session is played, wait for its end" if player.playing or player.waiting else ""
    if check.channel > len(player.dishes.channels):
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no channel {check.channel}.")
    if output is None or player.stopped or busy:
        reason = player.problem or busy or STOPPED
        raise ProblemError(HTTPStatus.CONFLICT, f"No test signal is played: {reason}.")
    if player not in _CHECKS or _CHECKS[player].mixer is not output.mixer:
        _CHECKS[player] = SoundCheck(output.mixer)
    return await run_in_threadpool(_CHECKS[player].start, check)


@router.delete("/v1/playback/soundcheck", status_code=204, responses=problems.responses(503))
async def stop(player: Service) -> Response:
    """Fade the test signal."""
    if player in _CHECKS:
        await run_in_threadpool(_CHECKS[player].stop)
    return Response(status_code=HTTPStatus.NO_CONTENT)
