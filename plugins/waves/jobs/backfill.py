"""Makes up for waves that are missing: dropped, failed for a while, or cut short by a power cut.

    every interval, at start, soon after a drop
        Search --> too young?     a live job for it is on its way: later
                   failed lately? after 1, 2, 4 ... minutes, at most an hour
                   room?          less than a quarter of the queue waits: else wait
                   unrecorded --> record it
                   pending    --> pool.submit(live=False)

All of it happens on a thread of its own: the event loop never waits for a disk. A pass ends when
the next one is due, so that the newest utterances come first again even while thousands wait.
There is one such thread below an artifacts root, since the server holds its lock.
"""

import os
import threading
import time
from contextlib import suppress
from time import monotonic

import structlog

from plugins.waves.errors import describe
from plugins.waves.files import publishing
from plugins.waves.jobs import record
from plugins.waves.jobs.search import Found, Search
from plugins.waves.jobs.sources import source_of
from plugins.waves.jobs.wave_job import Bench, OnEnd, Utterance
from plugins.waves.pool import Outcome, Pool
from plugins.waves.signals import DROPPED

log = structlog.get_logger(__name__)

MIN_AGE_S = 5.0
"""The live path hands a recording over within milliseconds; by then it has."""
FIRST_BACK_OFF_S, MAX_BACK_OFF_S = 60.0, 3600.0
ROOM_CHECK_S = 0.25


class Backfill(threading.Thread):
    """A thread that finds what has no waves and has them made when nobody else needs the pool."""

    def __init__(self, bench: Bench, pool: Pool) -> None:
        super().__init__(name="waves-backfill", daemon=True)
        self._bench = bench
        self._pool = pool
        self._search = Search(bench.host.artifacts, bench.settings.processing_sr)
        self._started_s = time.time()
        self._ended = threading.Event()
        self._moved = threading.Event()
        self._due_at = 0.0
        self._failures: dict[str, tuple[int, float]] = {}
        """Path -> how often it failed in a row, and when it may be tried again (monotonic)."""

    def wake(self) -> None:
        """Look again as soon as what was just dropped is old enough; callable from any thread."""
        self._due_at = min(self._due_at, monotonic() + MIN_AGE_S)
        self._moved.set()

    def end(self) -> None:
        """Look for nothing more; return at once."""
        self._ended.set()
        self._moved.set()

    def run(self) -> None:
        """Search now and whenever it is due, until ended."""
        while not self._ended.is_set():
            self._due_at = monotonic() + self._bench.settings.backfill_interval_s
            try:
                self._make_up()
            except Exception:
                log.exception("the search for missing waves failed; it is made again when due")
            while not self._is_over():
                self._moved.wait(max(0.0, self._due_at - monotonic()))
                self._moved.clear()

    def _make_up(self) -> None:
        """Look once at all there is, or until the next look is due."""
        seen = set()
        submitted = 0
        for found in self._search.run():
            seen.add(str(found.path))
            if (
                not self._put_off(found)
                and not self._failed_lately(found)
                and self._waits_for_room()
            ):
                try:
                    submitted += self._settle(found)
                except Exception:
                    log.exception(
                        "a recording without waves cannot be handled; the others are",
                        input_path=str(found.path),
                    )
                    self._put_back(str(found.path))
            if self._is_over():
                break
        for path in self._failures.keys() - seen:
            if not self._is_over() or not os.path.lexists(path):
                self._failures.pop(path, None)
        if submitted:
            log.info("waves were missing; they are being made", utterances=submitted)

    def _settle(self, found: Found) -> bool:
        """Do what a recording lacks; tell whether a job was submitted for it."""
        path = str(found.path)
        if self._pool.holds(path) or self._pool.is_quarantined(path):
            return False
        if self._failed_lately(found):  # an attempt that ended while this one waited for room
            return False
        now = self._search.look_again(found)
        if now is None or self._put_off(now):
            return False
        if now.standing == "set aside":
            self._pool.quarantine(path, now.set_aside_s)
        if now.standing == "unrecorded":
            adopt(self._bench, now)
        if now.standing != "pending":
            return False
        return self._pool.submit(prepared(self._bench, now, self._on_end), live=False)

    def _on_end(self, utterance: Utterance, reason: str, message: str, outcome: Outcome) -> None:  # noqa: ARG002 - the signature of `on_end`
        self._moved.set()
        if not reason:
            self._failures.pop(utterance.path, None)
        elif reason not in DROPPED:
            self._put_back(utterance.path)

    def _put_back(self, path: str) -> None:
        """Leave a recording that failed alone for a while, each time longer."""
        failures = self._failures.get(path, (0, 0.0))[0]
        pause_s = min(FIRST_BACK_OFF_S * 2 ** min(failures, 10), MAX_BACK_OFF_S)
        self._failures[path] = failures + 1, monotonic() + pause_s

    def _put_off(self, found: Found) -> bool:
        """Put a recording off that is so young that the live path may yet bring it; tell if so."""
        age_s = time.time() - found.written_at_s
        is_young = found.written_at_s >= self._started_s and 0 <= age_s < MIN_AGE_S
        if is_young:
            self._due_at = min(self._due_at, monotonic() + MIN_AGE_S)
        return is_young

    def _failed_lately(self, found: Found) -> bool:
        _, not_before = self._failures.get(str(found.path), (0, 0.0))
        return monotonic() < not_before

    def _waits_for_room(self) -> bool:
        """Wait until the pool has room; tell whether it has before the next look is due."""
        while not self._is_over():
            if self._pool.has_room_for_backfill:
                return True
            self._moved.wait(ROOM_CHECK_S)
            self._moved.clear()
        return False

    def _is_over(self) -> bool:
        return self._ended.is_set() or monotonic() >= self._due_at


def prepared(bench: Bench, found: Found, on_end: OnEnd) -> Utterance:
    """Return the utterance to be submitted for a recording, what is left of its waves removed."""
    with suppress(OSError):  # publishing them anew meets the same obstacle, and reports it
        publishing.remove_partial(found.targets)
    event = source_of(found.path, bench.host.artifacts)
    return Utterance(str(found.path), event, bench, backfill=True, on_end=on_end)


def adopt(bench: Bench, found: Found) -> str:
    """Record waves that stand whole but unrecorded; return what was in the way, or nothing."""
    try:
        with bench.recording:
            recorded = record.adopt(
                bench.host.artifacts, found.session_id, found.source, found.targets
            )
    except OSError as error:
        log.error("waves cannot be recorded", input_path=str(found.path), error=str(error))
        return f"the waves are there but cannot be recorded: {describe(error)}"
    if not recorded:
        return "the session was deleted"
    log.info("waves recorded that stood unrecorded", input_path=str(found.path))
    return ""
