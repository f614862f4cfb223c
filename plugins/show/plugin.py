"""The show plugin: what happens to the waves, told to every client of `/v1/events`.

signals --Following--> Relay --Announcer--> Hub --> Client --> WebSocket
        (receivers)         (a task; files      (ring, seq,
                             read on a thread)   cursor)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.plugins import Host
from backend.tracking import Followed, Following, Relay
from plugins.show.announcer import Announcer
from plugins.show.hub import Hub
from plugins.show.settings import ShowSettings
from plugins.waves.signals import outcomes

WAVES = "waves"


@asynccontextmanager
async def lifespan(host: Host, settings: ShowSettings) -> AsyncIterator[Hub]:
    """Tell clients what happens while the host runs; the service is the hub."""
    hub = Hub(
        ring_size=settings.ring_size,
        client_queue=settings.client_queue,
        max_clients=settings.max_clients,
        heartbeat_s=settings.heartbeat_s,
        base_url=settings.base_url or host.base_url,
    )
    announcer = Announcer(hub, host.artifacts)
    relay: Relay[Followed] = Relay(announcer.announce)
    following = Following(
        outcomes,
        relay.put,
        available=lambda: host.board.runs(WAVES),
        patience_s=settings.wait_limit_s,
    )
    _show_gauges(host, hub, following)
    async with relay.running():
        beating = asyncio.create_task(_beat(hub, following, settings.heartbeat_s), name="show")
        try:
            with following.subscribed():
                yield hub
        finally:
            beating.cancel()
            await asyncio.wait([beating])


async def _beat(hub: Hub, following: Following, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        following.sweep()
        hub.heartbeat()


def _show_gauges(host: Host, hub: Hub, following: Following) -> None:
    host.gauge("sessions", "Sessions whose waves are awaited.", lambda: len(following))
    host.gauge("clients", "Connected clients of /v1/events.", lambda: hub.clients)
    host.gauge("dropped", "Clients dropped because they read too slowly.", lambda: hub.dropped)
