"""The show plugin: sends what happens to the waves to every client of `/v1/events`.

signals --> SessionTracker --> EventQueue --> Announcer --> Hub --> Client --> WebSocket
            (receivers)        (one task)     (files read   (rings,
                                               on a thread)  numbers)
event_published ---------------------------------------------^
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.plugins import Host
from backend.signals import EventPublished, event_published
from backend.tracking import EventQueue, SessionTracker, TrackedEvent
from plugins.mood.signals import MoodRead, mood_read
from plugins.show.announcer import Announcer
from plugins.show.hub import Hub
from plugins.show.messages import StreamEvent
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
        dialect=settings.dialect,
    )
    announcer = Announcer(hub, host.artifacts)
    queue: EventQueue[TrackedEvent | MoodRead] = EventQueue(announcer.announce, host.gauge)
    tracker = SessionTracker(
        outcomes,
        queue.put,
        available=lambda: host.board.runs(WAVES),
        wait_limit_s=settings.wait_limit_s,
    )

    def publish(_: object, *, event: EventPublished) -> None:
        hub.publish(event.session_id, StreamEvent(event.name, event.data))

    _show_gauges(host, hub, tracker)
    async with queue.running():
        heartbeats = asyncio.create_task(_send_heartbeats(hub, settings.heartbeat_s), name="show")
        try:
            with (
                tracker.running(),
                mood_read.connected_to(queue.receive),
                event_published.connected_to(publish),
            ):
                yield hub
        finally:
            heartbeats.cancel()
            await asyncio.wait([heartbeats])


async def _send_heartbeats(hub: Hub, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        hub.heartbeat()


def _show_gauges(host: Host, hub: Hub, tracker: SessionTracker) -> None:
    host.gauge("sessions", "Sessions whose waves are awaited.", lambda: len(tracker))
    host.gauge("clients", "Connected clients of /v1/events.", lambda: hub.clients)
    host.gauge("dropped", "Clients dropped because they read too slowly.", lambda: hub.dropped)
