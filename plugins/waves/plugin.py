"""The waves plugin: every `tts_written` becomes a job of the pool, every job a signal.

tts_written --receive()--> Pool --> worker process
(event loop)              ^  |
                          |  v   on a thread of the pool
   Backfill, Remaking ----+  log line, session.json --call_soon_threadsafe--> waves_written
             (thread)                                 (event loop)            | waves_failed
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import structlog

from backend.plugins import Host
from backend.signals import TtsWritten, tts_written
from plugins.waves import worker
from plugins.waves.jobs import Backfill, Remaking, WaveJob, WavesContext
from plugins.waves.pool import DiskSpace, JobTable, OnState, Outcome, Pool, Remote
from plugins.waves.preparing import prepare, usable_root
from plugins.waves.settings import WavesSettings

log = structlog.get_logger(__name__)

UTTERANCES_A_SESSION = 19
"""Six in each of three turns, and a summary."""
SEARCH_LIMIT_S = 0.5
"""How long the end of a plugin waits for its search, which may be waiting for a disk."""


@asynccontextmanager
async def lifespan(host: Host, settings: WavesSettings) -> AsyncIterator[Remaking]:
    """Subscribe to `tts_written` with a running pool; at the end unsubscribe, then drain."""
    context = WavesContext(host, settings, asyncio.get_running_loop())

    def on_freed() -> None:
        if backfill is not None:
            backfill.try_all_again()

    pool = create_pool(
        settings,
        host.artifacts.temporary,
        host.report,
        low_priority=host.low_priority,
        pause_reason=DiskSpace(host.artifacts.root, settings.min_free_mb, on_freed).problem,
    )
    backfill = Backfill(context, pool) if settings.backfill_interval_s else None

    def receive(sender: object, *, event: TtsWritten) -> None:  # noqa: ARG001 - blinker's signature
        pool.submit(WaveJob(str(event.wav_path), event, context, on_end=look_again))

    def look_again(job: WaveJob, reason: str, message: str, outcome: Outcome) -> None:  # noqa: ARG001 - the signature of `on_end`
        if backfill is not None and reason == "queue_full":
            backfill.wake()

    _warn_if_small(settings, host.max_sessions)
    _show_gauges(host, pool)
    pool.start()
    if backfill is not None:
        backfill.start()
    try:
        with tts_written.connected_to(receive):
            yield Remaking(context, pool)
    finally:
        if backfill is not None:
            backfill.end()
        await asyncio.to_thread(pool.stop, settings.stop_limit_s)
        if backfill is not None:
            await asyncio.to_thread(backfill.join, SEARCH_LIMIT_S)


def _warn_if_small(settings: WavesSettings, sessions: int) -> None:
    if settings.queue_max_size < UTTERANCES_A_SESSION * sessions:
        log.warning(
            "not all that so many sessions may say at once can wait for its waves",
            RR_WAVES_QUEUE_MAX_SIZE=settings.queue_max_size,
            RR_MAX_SESSIONS=sessions,
            needed=UTTERANCES_A_SESSION * sessions,
        )


def _show_gauges(host: Host, pool: Pool) -> None:
    host.gauge("queued", "Utterances that wait for a worker.", lambda: pool.queued)
    host.gauge("workers", "Workers that are ready.", lambda: len(pool.worker_pids))


def create_pool(
    settings: WavesSettings,
    temporary: Path,
    on_state: OnState,
    *,
    low_priority: bool,
    pause_reason: Callable[[], str] = str,
) -> Pool:
    """Return a pool that decomposes recordings, not yet started; see `Pool`."""
    root = usable_root(settings.kernel_cache, temporary)
    return Pool(
        partial(worker.do, worker.decompose),
        lanes=settings.max_workers,
        queue_max_size=settings.queue_max_size,
        timeout_s=settings.job_timeout_s,
        warm_up=partial(worker.warm_up, str(temporary), settings.engine, root),
        prepare=partial(prepare, root) if settings.engine == "exact" else None,
        memory_limit_mb=settings.memory_limit_mb,
        low_priority=low_priority,
        on_state=on_state,
        pause_reason=pause_reason,
        remote=partial(_farm, settings) if settings.farm else None,
        reduce=worker.without_others,
    )


def _farm(settings: WavesSettings, jobs: JobTable, update_state: Callable[[], None]) -> Remote:
    from plugins.waves.farm import Farm

    return Farm(settings, jobs, update_state)
