"""The OSC plugin: what happens to the waves, sent to every target as it happens.

signals --Following--> Relay --> a datagram --> Target, Target, ...
        (receivers)         (a task; files read on a thread)

Waves that were made up for later are not sent: whoever listens plays what comes, and a visitor who
left long ago is not to move the water.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import structlog
from pythonosc.osc_bundle_builder import BuildError as BundleError
from pythonosc.osc_message_builder import BuildError as MessageError

from backend.plugins import Host
from backend.storage import read_wavinfo
from backend.tracking import Followed, Following, Relay, SessionOver, TurnOver, UtteranceDone
from plugins.osc import bundles
from plugins.osc.settings import OscSettings, split_target
from plugins.osc.target import Target
from plugins.waves.signals import outcomes

log = structlog.get_logger(__name__)

WAVES = "waves"
LOOKUP_LIMIT_S = 1.0
"""How long the start waits for name servers; what is found later is sent to from then on."""


@asynccontextmanager
async def lifespan(host: Host, settings: OscSettings) -> AsyncIterator[None]:
    """Send what happens while the host runs."""
    targets = [Target(name, int(port)) for name, port in map(split_target, settings.targets)]
    speaker = _Speaker(targets)
    relay: Relay[Followed] = Relay(speaker.tell)
    following = Following(
        outcomes,
        relay.put,
        available=lambda: host.board.runs(WAVES),
        patience_s=settings.wait_limit_s,
    )
    for target in targets:
        target.find()
    for target in targets:
        await target.found(LOOKUP_LIMIT_S / len(targets))
    host.gauge("sent", "Datagrams sent, over all targets.", lambda: sum(t.sent for t in targets))
    try:
        async with relay.running():
            beating = asyncio.create_task(
                _beat(host, speaker, following, settings.heartbeat_s), name="osc"
            )
            try:
                with following.subscribed():
                    yield
            finally:
                beating.cancel()
                await asyncio.wait([beating])
    finally:
        for target in targets:
            target.close()


class _Speaker:
    """Says to all targets what there is to say."""

    def __init__(self, targets: list[Target]) -> None:
        self.targets = targets

    async def tell(self, event: Followed) -> None:
        """Send the bundle of an event, if it has one."""
        try:
            match event:
                case UtteranceDone() if not getattr(event.outcome, "backfill", False):
                    infos = await asyncio.to_thread(
                        lambda: [read_wavinfo(path) for path in event.outcome.files]
                    )
                    self.send(bundles.utterance(event.outcome, infos))
                case TurnOver():
                    self.send(bundles.turn(event))
                case SessionOver():
                    self.send(bundles.session(event))
                case _:
                    pass
        except (OSError, ValueError, BundleError, MessageError) as error:
            log.warning("no OSC for an event", kind=type(event).__name__, error=str(error))

    def send(self, datagram: bytes) -> None:
        """Send a datagram to every target."""
        for target in self.targets:
            target.send(datagram)


async def _beat(host: Host, speaker: _Speaker, following: Following, interval_s: float) -> None:
    for number in count(1):
        speaker.send(bundles.heartbeat(number))
        problems = [target.problem for target in speaker.targets if target.problem]
        host.report("degraded" if problems else "ok", "; ".join(problems))
        await asyncio.sleep(interval_s)
        following.sweep()
        for target in speaker.targets:
            target.find()
