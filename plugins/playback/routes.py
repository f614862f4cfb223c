"""The routes of playback: how it is, the emergency stop with its release, the sound check."""

from http import HTTPStatus
from typing import Annotated, Any

from anyio import from_thread
from fastapi import APIRouter, Depends
from pydantic import BeforeValidator, Field, StrictInt

from backend.errors import SpeechError
from backend.http import CamelCase, ProblemError, problems, service_of
from plugins.playback.checks import StartedCheck
from plugins.playback.dishes import Notch
from plugins.playback.kinds import QUIET_DB, Signal
from plugins.playback.output import OutputError
from plugins.playback.player import Player

Service = Annotated[Player, Depends(service_of("playback"))]

router = APIRouter(prefix="/v1/playback", tags=["playback"])


class ChannelState(CamelCase):
    """One output of the card; full scale is 1."""

    name: str
    peak: float
    cap: float
    plays: list[str]
    level_db: float
    cap_db: float
    notch: tuple[Notch, ...]
    polarity: int
    delay_ms: float


class PlaybackState(CamelCase):
    """How playback is.

    `output` is the card or the file, empty without one; `check` is the `id` of the latest test
    signal, 0 without one or once it was ended.
    """

    stopped: bool
    playing: bool
    waiting: int
    skipped: int
    problem: str
    output: str = ""
    rate: int = 0
    latency_ms: float = 0
    underruns: int = 0
    check: int = 0
    channels: list[ChannelState]


@router.get("")
async def playback(player: Service) -> PlaybackState:
    """Return how playback is."""
    names = ("stopped", "playing", "waiting", "skipped", "problem")
    told: dict[str, Any] = {name: getattr(player, name) for name in names}
    told["check"] = player.check.id if player.check else 0
    peaks = [0.0] * len(player.dishes.channels)
    if output := player.output:
        peaks = output.mixer.levels()
        told |= {"output": output.name, "rate": output.mixer.rate, "underruns": output.underruns}
        told["latency_ms"] = output.latency_s * 1000
    channels = [
        ChannelState(peak=peak, cap=one.cap, **one.table())
        for one, peak in zip(player.dishes.channels, peaks, strict=True)
    ]
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


def _number_or_name(value: object) -> object:
    if type(value) not in {int, str}:
        raise ValueError("must be a number or a name")
    return value


class Check(CamelCase):
    """A test signal on a channel, at a level in dB of full scale."""

    channel: Annotated[StrictInt | str, BeforeValidator(_number_or_name)] = Field(
        description="Its number, from 1, or its name."
    )
    signal: Signal
    level_db: float = Field(QUIET_DB, ge=-80, le=0)


@router.post("/soundcheck", responses=problems.responses(404, 409, 422, 502, 503))
def start(check: Check, player: Service) -> StartedCheck:
    """Play a test signal on a channel in the place of the one before, never over its cap."""
    number = player.dishes.number(check.channel)
    if not number:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no channel {check.channel!r}.")
    try:
        player.test_signals()
        is_spoken = check.signal is Signal.NUMBER
        speech = from_thread.run(player.speak, str(number)) if is_spoken else b""
        with player.beginning:
            return player.test_signals().start(number, check.signal, check.level_db, speech)
    except OutputError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error
    except SpeechError as error:
        raise ProblemError(HTTPStatus.BAD_GATEWAY, f"Nothing was spoken: {error}") from error


@router.delete("/soundcheck", status_code=204, responses=problems.responses(503))
def end(player: Service) -> None:
    """Fade the test signal."""
    with player.beginning:
        if check := player.check:
            check.stop()
