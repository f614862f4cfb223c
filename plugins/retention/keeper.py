"""A thread that looks at what is stored, every interval, and removes what is over a limit.

Everything about files happens here: the event loop never waits for a disk. What a look removed is
one line in the log; what could not be removed is one line the first time, and tried at every look.
"""

import threading
import time
from collections.abc import Callable

import structlog

from backend.plugins import Host
from plugins.retention.policy import MB, Policy, Removal, Tree, plan
from plugins.retention.removing import IN_USE, Removed, carry_out
from plugins.retention.survey import Survey
from plugins.retention.trash import Trash

log = structlog.get_logger(__name__)

TRASH = "trash"
Tell = Callable[[Removal], None]


class Keeper(threading.Thread):
    """Keeps what is stored within the limits.

    Parameters
    ----------
    host : Host
        Whose artifacts, and whose leases.
    policy : Policy
        The limits.
    interval_s : float
        Between two looks; the first is one interval after the start, so that the waves plugin
        finds the speech of before first.
    tell : callable
        Called on this thread for everything that is gone.
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
        self._stuck: set[str] = set()
        """What could not be removed at the last look, so that each is logged once."""
        self.stored_bytes: dict[Tree, int] = {"tts": 0, "waves": 0}
        """As of the last look."""
        self.freed_bytes = 0

    def end(self) -> None:
        """Remove nothing more; return at once."""
        self._ended.set()

    def run(self) -> None:
        """Empty the trash, then look whenever it is due, until ended."""
        while True:
            self._safely(self._empty_trash)
            if self._ended.wait(self._interval_s):
                return
            self._safely(self._look)

    def _safely(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:
            log.exception("retention failed; it tries again when it is due")
            self._host.report("degraded", f"{type(error).__name__}: {error}"[:300])

    def _empty_trash(self) -> None:
        if left := self._trash.sweep():
            self._say_once(TRASH, "the trash cannot be emptied; it is tried again", sessions=left)
        else:
            self._stuck.discard(TRASH)

    def _look(self) -> None:
        speech, waves = self._survey.look("tts"), self._survey.look("waves")
        stored: dict[Tree, int] = {
            "tts": sum(item.size for item in speech),
            "waves": sum(item.size for item in waves),
        }
        self.stored_bytes = dict(stored)
        going = plan(speech, waves, self._policy, self._host.leases, time.time())
        gone: list[Removal] = []
        refused: list[Removed] = []
        for session in carry_out(going, self._trash, self._host.leases):
            gone += [item.removal for item in session if not item.problem]
            refused += [item for item in session if item.problem and item.problem != IN_USE]
            for removal in (item.removal for item in session if not item.problem):
                stored[removal.tree] -= removal.size
                self._tell(removal)
            if self._ended.is_set():
                break
        self._sum_up(gone, refused, stored)

    def _sum_up(self, gone: list[Removal], refused: list[Removed], stored: dict[Tree, int]) -> None:
        self.stored_bytes = stored
        self.freed_bytes += sum(removal.size for removal in gone)
        if gone:
            log.info(
                "removed what was over a limit",
                speech_of=sum(removal.tree == "tts" for removal in gone),
                waves_of=sum(removal.tree == "waves" for removal in gone),
                freed_mb=round(sum(removal.size for removal in gone) / MB, 1),
            )
        for item in refused:
            name = f"{item.removal.tree}/{item.removal.session_id}"
            self._say_once(name, "cannot be removed; it is tried again", problem=item.problem)
        names = {f"{item.removal.tree}/{item.removal.session_id}" for item in refused}
        self._stuck &= names | {TRASH}
        if self._stuck:
            self._host.report("degraded", f"{len(self._stuck)} of what is to go stay; see the log")
        else:
            self._host.report("ok", "")

    def _say_once(self, name: str, message: str, **fields: object) -> None:
        if name not in self._stuck:
            self._stuck.add(name)
            log.warning(message, what=name, **fields)
