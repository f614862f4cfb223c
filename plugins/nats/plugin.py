"""The NATS plugin: each signal as JSON on the subject `rr.<installation>.<signal>`.

signals --> EventQueue --> one task --> NATS server
(any thread)               (publishes while there is a connection)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from backend.plugins import Host
from backend.services import NatsConnection
from backend.signals import TEXTS, defined
from backend.storage import Artifacts
from backend.tracking import EventQueue, Sent, to_json
from plugins.nats.settings import NatsSettings

if TYPE_CHECKING:
    from nats.aio.client import Client

FLUSH_LIMIT_S = 1


class _Publisher:
    """Publishes events as they come; those of a time without a server are counted."""

    def __init__(self, host: Host, settings: NatsSettings) -> None:
        self._host, self._settings = host, settings
        self._client: Client | None = None
        self._unsent = 0
        self._connection = NatsConnection(settings.login, "reflective-resonance", self._use)
        host.gauge("unsent", "Events that no server was told.", lambda: self._unsent)

    async def handle(self, sent: Sent) -> None:
        """Publish an event if a server is there: later it would be of no use."""
        if self._client is None:
            self._unsent += 1
            return
        hidden = () if self._settings.texts else TEXTS
        body = to_json(sent.event, self._host.artifacts.root, hidden=hidden)
        await self._client.publish(f"rr.{self._settings.installation}.{sent.signal}", body)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep a connection, and tell the host how it is, while the block runs."""
        works = self._connection.run(), self._keep_told()
        tasks = [asyncio.create_task(work, name="nats") for work in works]
        try:
            yield
        finally:
            with suppress(Exception):
                if self._client is not None:
                    await self._client.flush(FLUSH_LIMIT_S)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _use(self, client: "Client") -> None:
        self._client = client
        try:
            await asyncio.Event().wait()
        finally:
            self._client = None

    async def _keep_told(self) -> None:
        while True:
            problem = self._connection.problem
            self._host.report("degraded" if problem else "ok", problem)
            await asyncio.sleep(1)


@asynccontextmanager
async def lifespan(host: Host, settings: NatsSettings) -> AsyncIterator[NatsSettings]:
    """Publish what happens while the host runs."""
    publisher = _Publisher(host, settings)
    queue: EventQueue[Sent] = EventQueue(publisher.handle, host.gauge)
    async with publisher.running(), queue.running():
        with queue.listening([signal.name for signal in defined()]):
            yield settings


def check(settings: NatsSettings, _: Artifacts, __: Callable[[str], None]) -> str:
    """Return that the server can be used, for `doctor`, or raise ServerError."""
    return settings.login.check()
