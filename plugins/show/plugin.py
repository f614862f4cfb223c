"""The show plugin: what happens to the waves, told to every client of `/v1/events`.

signals --Following--> Relay --Announcer--> Hub --> Client --> WebSocket
        (receivers)         (a task; files      (ring, seq,
                             read on a thread)   cursor)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from backend.plugins import Host
from backend.tracking import Followed, Following, Relay
from plugins.show.announcer import Announcer
from plugins.show.history import read_history
from plugins.show.hub import Hub
from plugins.show.settings import ShowSettings
from plugins.waves.signals import outcomes

log = structlog.get_logger(__name__)

WAVES = "waves"


@asynccontextmanager
async def lifespan(host: Host, settings: ShowSettings) -> AsyncIterator[Hub]:
    """Tell what happens, after what was told before; the service is the hub."""
    hub = Hub(
        ring_size=settings.ring_size,
        client_queue=settings.client_queue,
        max_clients=settings.max_clients,
        heartbeat_s=settings.heartbeat_s,
        base_url=settings.base_url or host.base_url,
    )
    announcer = Announcer(hub, host.artifacts)

    async def tell(event: Followed) -> None:
        await hub.ready.wait()
        await announcer.announce(event)

    relay: Relay[Followed] = Relay(tell)
    following = Following(
        outcomes,
        relay.put,
        available=lambda: host.board.runs(WAVES),
        patience_s=settings.wait_limit_s,
    )
    _show_gauges(host, hub, following)
    async with relay.running():
        tasks = [
            asyncio.create_task(_rebuild(hub, announcer, host, settings.history_sessions)),
            asyncio.create_task(_beat(hub, following, settings.heartbeat_s)),
        ]
        try:
            with following.subscribed():
                yield hub
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _rebuild(hub: Hub, announcer: Announcer, host: Host, max_sessions: int) -> None:
    """Publish what earlier runs told; the start does not wait, what happens meanwhile does."""
    try:
        history = await asyncio.to_thread(read_history, host.artifacts, max_sessions)
        if history.lost_before is not None:
            hub.ring.lost_before(_milliseconds(history.lost_before))
        for past in history.events:
            await announcer.announce(past.event, past.at)
    except Exception:
        log.exception("the history could not be rebuilt")
    finally:
        hub.end_of_history()


async def _beat(hub: Hub, following: Following, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        following.sweep()
        hub.heartbeat()


def _show_gauges(host: Host, hub: Hub, following: Following) -> None:
    host.gauge("sessions", "Sessions whose waves are awaited.", lambda: len(following))
    host.gauge("clients", "Connected clients of /v1/events.", lambda: hub.clients)
    host.gauge("dropped", "Clients dropped because they read too slowly.", lambda: hub.dropped)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
