"""The routes of playback: how it is, the emergency stop with its release, the sound check."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field, StrictInt
from starlette.concurrency import run_in_threadpool

from backend.errors import SpeechError
from backend.http import CamelCase, ProblemError, problems, service_of
from plugins.playback.checks import SoundCheck, StartedCheck
from plugins.playback.kinds import QUIET_DB, Signal
from plugins.playback.player import Player

Service = Annotated[Player, Depends(service_of("playback"))]

router = APIRouter(prefix="/v1/playback", tags=["playback"])


class ChannelState(CamelCase):
    """One output of the card; full scale is 1."""

    name: str
    peak: float
    cap: float


class PlaybackState(CamelCase):
    """How playback is; `output` is the card or the file, empty without one."""

    stopped: bool
    playing: bool
    waiting: int
    skipped: int
    problem: str
    output: str = ""
    rate: int = 0
    latency_ms: float = 0
    underruns: int = 0
    channels: list[ChannelState]


@router.get("")
async def playback(player: Service) -> PlaybackState:
    """Return how playback is."""
    names = ("stopped", "playing", "waiting", "skipped", "problem", "underruns")
    told = {name: getattr(player, name) for name in names}
    peaks = [0.0] * len(player.dishes.channels)
    if output := player.output:
        peaks = output.mixer.levels()
        told |= {"output": output.name, "rate": output.mixer.rate}
        told["latency_ms"] = output.latency_s * 1000
    each = zip(player.dishes.channels, peaks, strict=True)
    channels = [ChannelState(name=one.name, peak=peak, cap=one.cap) for one, peak in each]
    return PlaybackState(**told, channels=channels)


@router.post("/stop")
async def stop(player: Service) -> PlaybackState:
    """Be silent within 50 ms, and until it is released."""
    player.stop()
    return await playback(player)


@router.post("/release")
async def release(player: Service) -> PlaybackState:
    """Play what becomes ready from now on."""
    player.release()
    return await playback(player)


class Check(CamelCase):
    """A test signal on a channel, at a level in dB of full scale."""

    channel: StrictInt | str = Field(description="Its number, from 1, or its name.")
    signal: Signal
    level_db: float = Field(QUIET_DB, ge=-80, le=0)


@router.post("/soundcheck", responses=problems.responses(404, 409, 422, 502, 503))
async def start(check: Check, player: Service) -> StartedCheck:
    """Play a test signal on a channel in the place of the one before, never over its cap."""
    number = player.dishes.number(check.channel)
    if not number:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no channel {check.channel!r}.")
    _ready(player)
    try:
        speech = await player.speak(str(number)) if check.signal is Signal.NUMBER else b""
    except SpeechError as error:
        raise ProblemError(HTTPStatus.BAD_GATEWAY, f"Nothing was spoken: {error}") from error

    def begin() -> StartedCheck:
        with player.beginning:
            return _ready(player).start(number, check.signal, check.level_db, speech)

    return await run_in_threadpool(begin)


def _ready(player: Player) -> SoundCheck:
    """Return what plays test signals, or raise ProblemError if none may begin."""
    if player.check is None or player.refusal:
        reason = player.refusal
        raise ProblemError(HTTPStatus.CONFLICT, f"No test signal is played: {reason}.")
    return player.check


@router.delete("/soundcheck", status_code=204, responses=problems.responses(503))
async def end(player: Service) -> Response:
    """Fade the test signal."""

    def fade() -> None:
        with player.beginning:
            if player.check:
                player.check.stop()

    await run_in_threadpool(fade)
    return Response(status_code=HTTPStatus.NO_CONTENT)
