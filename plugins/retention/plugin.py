"""Removes speech and waves that are over a limit and not in use, while the server runs.

signals --> SessionTracker --> sessions_held: host.leases
                                                  |
every interval: Survey --> plan (pure) --> carry_out, session by session, without those held
   (thread)                                   rename to .trash, delete --> files_removed
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from backend.plugins import Host
from backend.signals import emit
from plugins.retention.in_use import sessions_held
from plugins.retention.keeper import Keeper
from plugins.retention.policy import Policy, Removal, policy_of
from plugins.retention.settings import RetentionSettings
from plugins.retention.signals import FilesRemoved, files_removed

log = structlog.get_logger(__name__)

SENDER = "retention"
STOP_LIMIT_S = 1.0
"""How long the stop waits for a disk; what is in the trash then is deleted at the next start."""


@asynccontextmanager
async def lifespan(host: Host, settings: RetentionSettings) -> AsyncIterator[Keeper]:
    """Hold the sessions in use, and remove what is over a limit, while the host runs."""
    loop = asyncio.get_running_loop()
    policy = policy_of(settings)
    if policy == Policy():
        log.warning("retention is on but no limit is set: nothing is removed")

    def tell(removal: Removal) -> None:
        event = FilesRemoved(removal.session_id, removal.tree, removal.size, removal.why)
        with suppress(RuntimeError):  # the loop is closed, as is every receiver
            loop.call_soon_threadsafe(emit, files_removed, SENDER, event)

    keeper = Keeper(host, policy, settings.interval_s, tell)
    host.gauge("speech_bytes", "Speech that is kept.", lambda: keeper.stored_bytes["tts"])
    host.gauge("heard_bytes", "Recordings of visitors.", lambda: keeper.stored_bytes["stt"])
    host.gauge("waves_bytes", "Waves that are kept.", lambda: keeper.stored_bytes["waves"])
    host.gauge("freed_bytes", "Bytes removed since the start.", lambda: keeper.freed_bytes)
    host.gauge("leased_sessions", "Sessions in use, which are kept.", lambda: len(host.leases))
    with sessions_held(host):
        keeper.start()
        try:
            yield keeper
        finally:
            keeper.end()
            await asyncio.to_thread(keeper.join, STOP_LIMIT_S)
