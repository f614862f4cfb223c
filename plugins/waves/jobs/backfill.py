"""Finds recordings without waves and has their waves made, while the pool has room.

    every interval, at start, soon after a drop
        Search --> too young?     a live job for it is on its way: later
                   failed lately? after 1, 2, 4 ... minutes, at most an hour
                   room?          less than a quarter of the queue waits: else wait
                   unrecorded --> record it
                   pending    --> pool.submit(live=False)

All of it happens on a thread of its own: the event loop never waits for a disk. A search ends when
the next one is due, so that the newest utterances come first again even while thousands wait.
"""

import os
import threading
import time
from contextlib import suppress
from time import monotonic

import structlog

from plugins.waves.errors import describe
from plugins.waves.files import paths, publishing
from plugins.waves.jobs import record
from plugins.waves.jobs.search import Found, Search
from plugins.waves.jobs.sources import source_of
from plugins.waves.jobs.wave_job import OnEnd, WaveJob, WavesContext
from plugins.waves.pool import Outcome, Pool
from plugins.waves.signals import DROPPED

log = structlog.get_logger(__name__)

MIN_AGE_S = 5.0
"""The live path hands a recording over within milliseconds; by then it has."""
FIRST_BACK_OFF_S, MAX_BACK_OFF_S = 60.0, 3600.0
ROOM_CHECK_S = 0.25


class Backfill(threading.Thread):
    """A thread that finds recordings without waves and submits them to the pool."""

    def __init__(self, context: WavesContext, pool: Pool) -> None:
        super().__init__(name="waves-backfill", daemon=True)
        self._context = context
        self._pool = pool
        self._search = Search(context.host.artifacts, context.settings.profiles)
        self._started_s = time.time()
        self._ended = threading.Event()
        self._wake_up = threading.Event()
        self._due_at = 0.0
        self._failures: dict[str, tuple[int, float]] = {}
        """Path -> how often it failed in a row, and when it may be tried again (monotonic)."""

    def wake(self) -> None:
        """Search again as soon as what was just dropped is old enough; any thread may call this."""
        self._due_at = min(self._due_at, monotonic() + MIN_AGE_S)
        self._wake_up.set()

    def try_all_again(self) -> None:
        """Search at once, also for what failed; any thread may call this."""
        self._failures = {}
        self._due_at = monotonic()
        self._wake_up.set()

    def end(self) -> None:
        """Stop searching; return at once."""
        self._ended.set()
        self._wake_up.set()

    def run(self) -> None:
        """Search now and whenever it is due, until ended."""
        while not self._ended.is_set():
            self._due_at = monotonic() + self._context.settings.backfill_interval_s
            try:
                self._search_once()
            except Exception:
                log.exception("the search for missing waves failed; it is made again when due")
            while not self._is_over():
                self._wake_up.wait(max(0.0, self._due_at - monotonic()))
                self._wake_up.clear()

    def _search_once(self) -> None:
        """Search all sessions once, or until the next search is due."""
        seen = set()
        submitted = 0
        for found in self._search.run():
            seen.add(str(found.path))
            if (
                not self._is_too_young(found)
                and not self._failed_lately(found)
                and self._wait_for_room()
            ):
                try:
                    submitted += self._handle(found)
                except Exception:
                    log.exception(
                        "a recording without waves cannot be handled; the others are",
                        input_path=str(found.path),
                    )
                    self._pause(str(found.path))
            if self._is_over():
                break
        for path in self._failures.keys() - seen:
            if not self._is_over() or not os.path.lexists(path):
                self._failures.pop(path, None)
        if submitted:
            log.info("waves were missing; they are being made", utterances=submitted)

    def _handle(self, found: Found) -> bool:
        """Record the waves of a recording or submit a job; tell whether a job was submitted."""
        path = str(found.path)
        if self._pool.holds(path):
            return False
        if self._failed_lately(found):  # an attempt that ended while this one waited for room
            return False
        now = self._search.look_again(found)
        if now is None or self._is_too_young(now):
            return False
        if now.state == "quarantined" and not self._pool.is_quarantined(path):
            self._pool.quarantine(path, now.quarantined_s)
        if now.unrecorded:
            adopt(self._context, now)
        if not now.missing or self._pool.is_quarantined(path):
            return False
        return self._pool.submit(prepared(self._context, now, self._on_end), live=False)

    def _on_end(self, job: WaveJob, reason: str, message: str, outcome: Outcome) -> None:  # noqa: ARG002 - the signature of `on_end`
        self._wake_up.set()
        if not reason:
            self._failures.pop(job.path, None)
        elif reason not in DROPPED:
            self._pause(job.path)

    def _pause(self, path: str) -> None:
        """Try a recording that failed again after a pause, each time a longer one."""
        failures = self._failures.get(path, (0, 0.0))[0]
        pause_s = min(FIRST_BACK_OFF_S * 2 ** min(failures, 10), MAX_BACK_OFF_S)
        self._failures[path] = failures + 1, monotonic() + pause_s

    def _is_too_young(self, found: Found) -> bool:
        """Tell whether the live path may yet submit this recording; then search again soon."""
        age_s = time.time() - found.written_at_s
        is_young = found.written_at_s >= self._started_s and 0 <= age_s < MIN_AGE_S
        if is_young:
            self._due_at = min(self._due_at, monotonic() + MIN_AGE_S)
        return is_young

    def _failed_lately(self, found: Found) -> bool:
        _, not_before = self._failures.get(str(found.path), (0, 0.0))
        return monotonic() < not_before

    def _wait_for_room(self) -> bool:
        """Wait until the pool has room; tell whether it has before the next look is due."""
        while not self._is_over():
            if self._pool.has_room_for_backfill:
                return True
            self._wake_up.wait(ROOM_CHECK_S)
            self._wake_up.clear()
        return False

    def _is_over(self) -> bool:
        return self._ended.is_set() or monotonic() >= self._due_at


def prepared(context: WavesContext, found: Found, on_end: OnEnd) -> WaveJob:
    """Return the job for a recording; remove what is left of the waves that are missing."""
    directory = paths.session_targets(found.path, context.host.artifacts.root)[0].parent
    stand = paths.standing(directory, found.path)
    with suppress(OSError):  # publishing them anew meets the same obstacle, and reports it
        for one in () if context.host.artifacts.link_in(directory) else found.missing:
            every = paths.targets_in(directory, found.path, one, publishing.MOST)
            publishing.remove_partial(stand.get(one, every))
    event = source_of(found.path, context.host.artifacts)
    return WaveJob(str(found.path), event, context, True, on_end, found.missing)


def adopt(context: WavesContext, found: Found) -> str:
    """Record waves that are complete but unrecorded; return why that failed, or nothing."""
    try:
        with context.recording:
            recorded = record.adopt(
                context.host.artifacts, found.session_id, found.source, found.unrecorded
            )
    except OSError as error:
        log.error("waves cannot be recorded", input_path=str(found.path), error=str(error))
        return f"the waves are there but cannot be recorded: {describe(error)}"
    if not recorded:
        return "the session was deleted"
    log.info("waves recorded that stood unrecorded", input_path=str(found.path))
    return ""
