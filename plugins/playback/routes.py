"""The routes of playback: how it is, and the emergency stop with its release."""

from typing import Annotated

from fastapi import APIRouter, Depends

from backend.http import CamelCase, service_of
from plugins.playback.player import Player

Service = Annotated[Player, Depends(service_of("playback"))]

router = APIRouter(tags=["playback"])


class ChannelState(CamelCase):
    """One output of the card."""

    name: str
    peak: float
    """Of the last moments, full scale being 1."""
    cap: float


class PlaybackState(CamelCase):
    """How playback is; `output` is the card or the file, empty without one."""

    stopped: bool
    playing: bool
    waiting: int
    skipped: int
    problem: str
    output: str
    rate: int
    latency_ms: float
    underruns: int
    channels: list[ChannelState]


@router.get("/v1/playback")
async def playback(player: Service) -> PlaybackState:
    """Return how playback is."""
    output = player.output
    channels = player.dishes.channels
    peaks = output.mixer.levels() if output else [0.0] * len(channels)
    return PlaybackState(
        stopped=player.stopped,
        playing=player.playing,
        waiting=player.waiting,
        skipped=player.skipped,
        problem=player.problem,
        output=output.name if output else "",
        rate=output.mixer.rate if output else 0,
        latency_ms=output.latency_s * 1000 if output else 0,
        underruns=player.underruns,
        channels=[
            ChannelState(name=one.name, peak=peak, cap=one.cap)
            for one, peak in zip(channels, peaks, strict=True)
        ],
    )


@router.post("/v1/playback/stop")
async def stop(player: Service) -> PlaybackState:
    """Be silent within 50 ms, and until it is released."""
    player.stop()
    return await playback(player)


@router.post("/v1/playback/release")
async def release(player: Service) -> PlaybackState:
    """Play what becomes ready from now on."""
    player.release()
    return await playback(player)
