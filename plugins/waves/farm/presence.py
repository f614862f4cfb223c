"""Who is there: servers and workers tell each other twice a second, and refuse other versions."""

import asyncio
import socket
import uuid
from time import monotonic
from typing import TYPE_CHECKING, Literal

import structlog

from plugins.waves.errors import FarmError
from plugins.waves.farm import wire

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

log = structlog.get_logger(__name__)

SUBJECT = "rr.waves.present"
MOST_KNOWN = 1000


class Presence:
    """Tells others that this process is there, and keeps those of the other role that are."""

    def __init__(self, role: Literal["server", "worker"], workers: int = 0) -> None:
        self.own = wire.Present(
            id=uuid.uuid4().hex, role=role, machine=socket.gethostname(), workers=workers,
            version=wire.version_name(), algorithm=wire.algorithm(),
        )  # fmt: skip
        self._seen: dict[str, tuple[wire.Present, float]] = {}
        self._refused: set[tuple[str, str]] = set()

    @property
    def others(self) -> list[wire.Present]:
        """Return those of the other role and the same algorithm that are there now."""
        since = monotonic() - wire.ABSENT_AFTER_S
        return [one for one, seen_at in list(self._seen.values()) if seen_at > since]

    async def keep(self, client: "Client") -> None:
        """Tell and listen until this is cancelled."""
        await client.subscribe(SUBJECT, cb=self.hear)
        while True:
            await client.publish(SUBJECT, wire.pack(self.own))
            await asyncio.sleep(wire.PRESENT_EVERY_S)

    async def hear(self, message: "Msg") -> None:
        """Note who is there; log once who makes other waves."""
        try:
            other, _ = wire.unpack(wire.Present, message.data)
        except FarmError:
            return
        known = (other.machine, other.version)
        is_other = other.role != self.own.role
        if is_other and other.algorithm == self.own.algorithm:
            if other.id in self._seen or len(self._seen) < MOST_KNOWN:
                self._seen[other.id] = other, monotonic()
        elif is_other and known not in self._refused and len(self._refused) < MOST_KNOWN:
            self._refused.add(known)
            log.warning(
                "it makes other waves and is not used: install the same version",
                role=other.role,
                machine=other.machine,
                its_version=other.version,
                own_version=self.own.version,
            )
