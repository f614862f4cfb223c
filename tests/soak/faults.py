"""The faults of a soak, each done to a running server from outside."""

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from tests.live import Data
from tests.soak.visitors import Session, Visitors

FROZEN_S = 1.5
"""How long workers are stopped so that something can happen to what waits for them."""
KINDS = (
    "kill a worker",
    "stop a worker",
    "truncate a recording",
    "garble a recording",
    "truncate a recording that waits",
    "fill the queue",
    "delete a session",
    "delete a session that waits",
    "block an output directory",
    "let a visitor leave",
)


class Faults:
    """Does a random fault at a time, and keeps what was done to whom.

    Faults that need a session wait for the event that makes them possible: `hear` is told all.
    """

    def __init__(
        self,
        root: Path,
        spoilt_list: Path,
        workers: Callable[[], list[int]],
        rng: random.Random,
    ) -> None:
        self.done: Counter[str] = Counter()
        self.killed: list[int] = []
        self.spoilt: set[str] = set()
        self.deleted: set[str] = set()
        self._root, self._spoilt_list = root, spoilt_list
        self._workers, self._rng = workers, rng
        self._lock = threading.Lock()
        self._wanted: Counter[str] = Counter()
        self._blocked: dict[Path, float] = {}
        self._frozen: dict[int, float] = {}
        spoilt_list.touch()

    def inject(self, visitors: Visitors) -> None:
        """Do one fault, or ask for it if it needs a session's event."""
        kind = self._rng.choice(KINDS)
        if kind == "kill a worker":
            self._kill(kind)
        elif kind == "stop a worker":
            for pid in self._signal(self._workers()[:1], signal.SIGSTOP):
                self.done[kind] += 1
                self._frozen.pop(pid, None)  # its job's deadline ends it
        elif kind == "let a visitor leave":
            self.done[kind] += 1
            visitors.let_the_next_leave()
        elif kind == "fill the queue":
            self.done[kind] += 1
            self._freeze()
            for _ in range(3):
                visitors.begin(Session(6))
        else:
            if kind.endswith("that waits"):
                self._freeze()
            with self._lock:
                self._wanted[kind] += 1

    def hear(self, session: Session, name: str, data: Data) -> None:
        """Do what waited for this event; called on the session's thread."""
        if name == "session.start" and self._take("block an output directory"):
            way = self._root / "waves/sessions" / session.id
            way.parent.mkdir(parents=True, exist_ok=True)
            way.write_bytes(b"in the way")
            self._blocked[way] = monotonic() + FROZEN_S
        elif name == "slot.audio":
            path = self._root / data["audioPath"]
            if self._take("truncate a recording that waits") or self._take("truncate a recording"):
                self._spoil(path, lambda: os.truncate(path, path.stat().st_size // 2))
            elif self._take("garble a recording"):
                self._spoil(path, lambda: _garble(path))
        elif name == "done" and (
            self._take("delete a session that waits") or self._take("delete a session")
        ):
            self.deleted.add(session.id)
            for tree in ("tts", "waves"):
                shutil.rmtree(self._root / tree / "sessions" / session.id, ignore_errors=True)

    def undo(self, everything: bool = False) -> None:
        """Give back what was taken for a moment."""
        now = monotonic()
        for way, until in list(self._blocked.items()):
            if everything or now > until:
                way.unlink(missing_ok=True)
                del self._blocked[way]
        for pid, until in list(self._frozen.items()):
            if everything or now > until:
                self._signal([pid], signal.SIGCONT)
                del self._frozen[pid]

    def _kill(self, kind: str) -> None:
        alive = self._workers()
        for pid in self._signal(self._rng.sample(alive, min(1, len(alive))), signal.SIGKILL):
            self.killed.append(pid)
            self.done[kind] += 1

    def _freeze(self) -> None:
        for pid in self._signal(self._workers(), signal.SIGSTOP):
            self._frozen[pid] = monotonic() + FROZEN_S

    def _signal(self, pids: list[int], number: signal.Signals) -> list[int]:
        """Send a signal to workers; return those that were there."""
        reached = []
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                reached.append(pid)
        return reached

    def _take(self, kind: str) -> bool:
        with self._lock:
            if not self._wanted[kind]:
                return False
            self._wanted[kind] -= 1
            self.done[kind] += 1
            return True

    def _spoil(self, path: Path, damage: Callable[[], None]) -> None:
        with self._lock:
            self.spoilt.add(str(path))
            with self._spoilt_list.open("a", encoding="utf-8") as stream:
                stream.write(path.relative_to(self._root).as_posix() + "\n")
        damage()


def _garble(path: Path) -> None:
    """Overwrite the header of a file in place."""
    with path.open("r+b") as stream:
        stream.write(b"\xff" * 40)
        stream.flush()
        os.fsync(stream.fileno())
    os.utime(path, (time.time(), time.time()))
