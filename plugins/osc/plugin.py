"""The OSC plugin: sends what happens to the waves to every target.

signals --> SessionTracker --> EventQueue --> a datagram --> Target, Target, ...
            (receivers)        (one task)

Waves that were made later are not sent: a receiver plays what comes, and the visitor has left.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import structlog
from pythonosc.osc_bundle_builder import BuildError as BundleError
from pythonosc.osc_message_builder import BuildError as MessageError

from backend.plugins import Host
from backend.tracking import (
    EventQueue,
    SessionOver,
    SessionTracker,
    TrackedEvent,
    TurnOver,
    UtteranceDone,
)
from plugins.osc import bundles
from plugins.osc.settings import OscSettings, split_target
from plugins.osc.target import Target
from plugins.waves.signals import WavesWritten, outcomes

log = structlog.get_logger(__name__)

WAVES = "waves"
LOOKUP_LIMIT_S = 1.0
"""How long the start waits for name servers; what is found later is sent to from then on."""


@asynccontextmanager
async def lifespan(host: Host, settings: OscSettings) -> AsyncIterator[None]:
    """Send what happens while the host runs."""
    targets = [Target(name, int(port)) for name, port in map(split_target, settings.targets)]
    sender = _Sender(targets)
    queue: EventQueue[TrackedEvent] = EventQueue(sender.handle, host.gauge)
    tracker = SessionTracker(
        outcomes,
        queue.put,
        available=lambda: host.board.runs(WAVES),
        wait_limit_s=settings.wait_limit_s,
    )
    for target in targets:
        target.find()
    for target in targets:
        await target.found(LOOKUP_LIMIT_S / len(targets))
    host.gauge("sent", "Datagrams sent, over all targets.", lambda: sum(t.sent for t in targets))
    try:
        async with queue.running():
            heartbeats = asyncio.create_task(
                _send_heartbeats(host, sender, settings.heartbeat_s), name="osc"
            )
            try:
                with tracker.running():
                    yield
            finally:
                heartbeats.cancel()
                await asyncio.wait([heartbeats])
    finally:
        for target in targets:
            target.close()


class _Sender:
    """Sends datagrams to all targets."""

    def __init__(self, targets: list[Target]) -> None:
        self.targets = targets

    async def handle(self, event: TrackedEvent) -> None:
        """Send the bundle of an event, if it has one."""
        try:
            match event:
                case UtteranceDone(WavesWritten(backfill=False) as waves):
                    self.send(bundles.utterance(waves))
                case TurnOver():
                    self.send(bundles.turn(event))
                case SessionOver():
                    self.send(bundles.session(event))
                case _:
                    pass
        except (ValueError, BundleError, MessageError) as error:
            log.warning(
                "an event cannot be sent as OSC", kind=type(event).__name__, error=str(error)
            )

    def send(self, datagram: bytes) -> None:
        """Send a datagram to every target."""
        for target in self.targets:
            target.send(datagram)


async def _send_heartbeats(host: Host, sender: _Sender, interval_s: float) -> None:
    for number in count(1):
        sender.send(bundles.heartbeat(number))
        problems = [target.problem for target in sender.targets if target.problem]
        host.report("degraded" if problems else "ok", "; ".join(problems))
        await asyncio.sleep(interval_s)
        for target in sender.targets:
            target.find()
