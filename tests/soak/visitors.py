"""The visitors of a soak: real sessions at a steady rate, each on a thread of its own."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import httpx2

from tests.live import Data, Sequence, chat_body, events
from tests.patience import LIMIT_S

SILENCE_LIMIT_S = 30.0
"""A visitor does not wait longer for the next word."""

Hook = Callable[["Session", str, Data], None]
"""Called with every event of every session, on that session's thread."""


@dataclass
class Session:
    """One session as its visitor sees it."""

    slots: int
    leaves_after: int | None = None
    id: str = ""
    heard: Sequence = field(default_factory=list)
    refused: bool = False
    problem: str = ""

    @property
    def ended(self) -> bool:
        """Whether `done` was heard."""
        return bool(self.heard) and self.heard[-1][0] == "done"


def expected_utterances(slots: int) -> int:
    """Return about how many utterances a session of `slots` has; replies are drawn."""
    return 1 if slots == 1 else 2 * slots + (2 * slots + 2) // 3


class Visitors:
    """Starts sessions so that `rate` utterances a second are spoken, and keeps what was heard."""

    def __init__(self, url: str, rate: float, rng: random.Random, hook: Hook) -> None:
        self.sessions: list[Session] = []
        self._threads: list[threading.Thread] = []
        self._url, self._rate, self._rng, self._hook = url, rate, rng, hook
        self._leaves_next = False
        self._started = monotonic()

    def pace(self) -> None:
        """Start as many sessions as are due."""
        while self._spoken() < self._rate * (monotonic() - self._started):
            leaves_after = self._rng.randint(1, 12) if self._leaves_next else None
            self._leaves_next = False
            self.begin(Session(self._rng.randint(1, 6), leaves_after))

    def begin(self, session: Session) -> None:
        """Let one visitor come."""
        self.sessions.append(session)
        thread = threading.Thread(target=self._attend, args=(session,))
        self._threads.append(thread)
        thread.start()

    def let_the_next_leave(self) -> None:
        """Let the next visitor go away before the end."""
        self._leaves_next = True

    def join(self) -> None:
        """Wait until everybody has gone."""
        for thread in self._threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive(), "a session did not end"

    def _spoken(self) -> int:
        return sum(
            sum(name == "slot.audio" for name, _ in session.heard)
            if session.ended
            else expected_utterances(session.slots)
            for session in self.sessions
            if not session.refused
        )

    def _attend(self, session: Session) -> None:
        body = chat_body(*range(1, session.slots + 1))
        try:
            with (
                httpx2.Client(base_url=self._url, timeout=SILENCE_LIMIT_S) as client,
                client.stream("POST", "/v1/chat", json=body) as response,
            ):
                session.refused = response.status_code == 503
                if response.status_code != 200:
                    return
                for name, data in events(response.iter_lines()):
                    session.id = session.id or data["sessionId"]
                    session.heard.append((name, data))
                    self._hook(session, name, data)
                    if len(session.heard) == session.leaves_after:
                        return
        except (httpx2.HTTPError, OSError) as error:
            session.problem = f"{type(error).__name__}: {error}"


def problem_of(session: Session) -> str:
    """Return what is wrong with the sequence of a session's events; nothing if it is complete."""
    if session.problem or session.refused or session.leaves_after is not None:
        return session.problem
    names = [name for name, _ in session.heard]
    if not names or names[0] != "session.start" or names[-1] != "done":
        return f"{session.id}: {names}"
    frames = [name for name in names if name.startswith("turn.")]
    if frames != ["turn.start", "turn.done"] * 3:
        return f"{session.id}: frames {frames}"
    for turn in (1, 2, 3):
        of_turn = [(n, d) for n, d in session.heard if d.get("turnIndex") == turn]
        by_slot = Counter((d["slotId"], n) for n, d in of_turn if "slotId" in d)
        starts = {slot for slot, name in by_slot if name == "slot.start"}
        whole = all(
            by_slot[slot, "slot.start"] == 1
            and by_slot[slot, "slot.audio"] + by_slot[slot, "slot.error"] == 1
            for slot in starts
        )
        heard = sum(name == "slot.audio" for name, _ in of_turn)
        if not whole or of_turn[0][0] != "turn.start" or of_turn[-1][1]["slotCount"] != heard:
            return f"{session.id}: turn {turn}: {of_turn}"
    return ""
