"""A thread that removes, every interval, what is over a limit.

The event loop never waits for a disk. What was removed is one line in the log for each interval;
what could not be removed is one line the first time, and is tried again every interval.
"""

import threading
import time
from collections.abc import Callable

import structlog

from backend.plugins import Host
from backend.storage import SERVED_TREES, Tree
from plugins.retention.policy import MB, Policy, Removal, plan
from plugins.retention.removing import IN_USE, carry_out
from plugins.retention.survey import Survey
from plugins.retention.trash import Trash

log = structlog.get_logger(__name__)

TRASH = "trash"
Tell = Callable[[Removal], None]


class Keeper(threading.Thread):
    """Keeps what is stored within the limits; `tell` is called on this thread for each removal.

    The first check is one interval after the start: the waves plugin searches for speech before it.
    """

    def __init__(self, host: Host, policy: Policy, interval_s: float, tell: Tell) -> None:
        super().__init__(name="retention", daemon=True)
        self._host = host
        self._policy = policy
        self._interval_s = interval_s
        self._tell = tell
        self._survey = Survey(host.artifacts)
        self._trash = Trash(host.artifacts)
        self._ended = threading.Event()
        self._failed: set[str] = set()
        """What could not be removed at the last check, so that each is logged once."""
        self.stored_bytes: dict[Tree, int] = dict.fromkeys(SERVED_TREES, 0)
        """As of the last check."""
        self.freed_bytes = 0

    def end(self) -> None:
        """Remove no further session; return at once."""
        self._ended.set()

    def run(self) -> None:
        """Empty the trash, then remove what is over a limit every interval, until ended."""
        while True:
            self._logged(self._empty_trash)
            if self._ended.wait(self._interval_s):
                return
            self._logged(self._remove)

    def _logged(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            log.exception("retention failed and is tried again", interval_s=self._interval_s)
            self._host.report("degraded", f"{type(error).__name__}: {error}"[:300])

    def _empty_trash(self) -> None:
        if left := self._trash.sweep():
            self._warn_once(TRASH, "the trash cannot be emptied and is tried again", sessions=left)
        else:
            self._failed.discard(TRASH)

    def _remove(self) -> None:
        stored = {tree: self._survey.look(tree) for tree in SERVED_TREES}
        self.stored_bytes = {tree: sum(one.size for one in there) for tree, there in stored.items()}
        leases, now_s = self._host.leases, time.time()
        going = plan(stored["tts"], stored["waves"], self._policy, leases, now_s, stored["stt"])
        removed: list[Removal] = []
        failed: dict[str, str] = {}
        for session in carry_out(going, self._trash, self._host.leases):
            for item in session:
                if not item.problem:
                    removed.append(item.removal)
                    self._tell(item.removal)
                elif item.problem != IN_USE:
                    failed[f"{item.removal.tree}/{item.removal.session_id}"] = item.problem
            if self._ended.is_set():
                break
        self._count(removed)
        for name, problem in failed.items():
            self._warn_once(name, "cannot be removed and is tried again", problem=problem)
        self._failed &= failed.keys() | {TRASH}
        if self._failed:
            self._host.report("degraded", f"{len(self._failed)} cannot be removed; see the log")
        else:
            self._host.report("ok", "")

    def _count(self, removed: list[Removal]) -> None:
        if not removed:
            return
        for removal in removed:
            self.stored_bytes[removal.tree] -= removal.size
        freed = sum(removal.size for removal in removed)
        self.freed_bytes += freed
        log.info(
            "removed what was over a limit",
            speech_of=sum(removal.tree == "tts" for removal in removed),
            waves_of=sum(removal.tree == "waves" for removal in removed),
            recordings=sum(removal.tree == "stt" for removal in removed),
            freed_mb=round(freed / MB, 1),
        )

    def _warn_once(self, name: str, message: str, **fields: object) -> None:
        if name not in self._failed:
            self._failed.add(name)
            log.warning(message, what=name, **fields)
