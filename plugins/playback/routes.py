"""The routes of playback: how it is, and the emergency stop with its release."""

from typing import Annotated

from fastapi import APIRouter, Depends

from backend.http import CamelCase, service_of
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
