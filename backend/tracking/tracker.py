"""Follow sessions on the bus: what is still out, and when a turn, a dialogue, a session is over.

For subscribers that act on what a plugin makes of each utterance, such as the waves: the pair of
signals (done, failed) is a parameter, as `backend.plugins.Plugin.outcomes` names it.

    bus                              Following                tell(...)
    session_started                  one more to follow       SessionExpected
    tts_written                      one more is out
    done | failed                    one fewer is out         UtteranceDone | UtteranceMissing
    turn_finished, session_finished  no more will come        DialogueOver, TurnOver, SessionOver

A group is over once no utterance of it will come and none is out. An utterance that was refused,
failed or timed out is missing and holds nobody up; nor does one whose maker does not run
(`available`), or does not answer within `patience_s`. Turns of a session are told in their order.

Memory is bounded: a session is forgotten once it is over, and at the latest an hour after it was
last heard of. What comes of an utterance of an unknown session (made up for later, or of a time
before the subscriber ran) is told and moves no barrier. Everything runs on the event loop's thread.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import monotonic

import structlog
from blinker import NamedSignal

from backend.signals import (
    SessionFinished,
    SessionStarted,
    TtsWritten,
    TurnFinished,
    WorkDone,
    WorkFailed,
    session_finished,
    session_started,
    tts_written,
    turn_finished,
)
from backend.tracking.events import (
    DialogueOver,
    Followed,
    Missing,
    SessionExpected,
    SessionOver,
    TurnOver,
    UtteranceDone,
    UtteranceMissing,
)

log = structlog.get_logger(__name__)

PATIENCE_S = 300.0
FORGET_S = 3600.0
"""No session is silent for so long; one that is has been lost."""
MAX_SESSIONS = 256
MEDIAN_OVER = 101
"""Utterances that the running median of the waiting time looks back on."""

NOT_MADE = "not_running"
NO_ANSWER = "no_answer"


@dataclass(slots=True)
class _Session:
    id: str
    heard_at: float
    written: dict[str, tuple[TtsWritten, float]] = field(default_factory=dict)
    """What was said, by audio path, and when."""
    results: dict[str, WorkDone | Missing] = field(default_factory=dict)
    closed_turns: set[int] = field(default_factory=set)
    """Turns of which no further utterance will come."""
    told_turns: set[int] = field(default_factory=set)
    told_dialogues: set[int] = field(default_factory=set)
    finished: bool = False

    def members(self, wanted: Callable[[TtsWritten], bool]) -> list[TtsWritten]:
        """Return the utterances that are `wanted`, by turn and slot."""
        chosen = [event for event, _ in self.written.values() if wanted(event)]
        return sorted(chosen, key=lambda event: (event.turn_index, event.slot_id))

    def all_in(self, members: list[TtsWritten]) -> bool:
        return all(event.audio_path in self.results for event in members)

    def group(self, members: list[TtsWritten]) -> tuple[tuple[WorkDone, ...], tuple[Missing, ...]]:
        results = [self.results[event.audio_path] for event in members]
        return (
            tuple(result for result in results if isinstance(result, WorkDone)),
            tuple(result for result in results if isinstance(result, Missing)),
        )


class Following:
    """Keeps count of what is out.

    Parameters
    ----------
    outcomes : pair of signals
        (done, failed), with payloads derived from `WorkDone` and `WorkFailed`.
    tell : callable
        Gets every `Followed`; it hands over and returns, as a receiver does.
    available : callable
        Whether anybody makes files at all.
    patience_s : float
        After so many seconds an utterance without an outcome is missing.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        outcomes: tuple[NamedSignal, NamedSignal],
        tell: Callable[[Followed], None],
        *,
        available: Callable[[], bool] = lambda: True,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._outcomes = outcomes
        self._tell = tell
        self._available = available
        self._patience_s = patience_s
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._waits: deque[float] = deque(maxlen=MEDIAN_OVER)

    def __len__(self) -> int:
        """Return how many sessions are followed."""
        return len(self._sessions)

    @contextmanager
    def subscribed(self) -> Iterator[None]:
        """Listen to the bus while the block runs."""
        with ExitStack() as stack:
            stack.enter_context(session_started.connected_to(self.on_started))
            stack.enter_context(tts_written.connected_to(self.on_written))
            stack.enter_context(turn_finished.connected_to(self.on_turn_finished))
            stack.enter_context(session_finished.connected_to(self.on_finished))
            for outcome in self._outcomes:
                stack.enter_context(outcome.connected_to(self.on_ended))
            yield

    def on_started(self, sender: object = None, *, event: SessionStarted) -> None:  # noqa: ARG002 - blinker's signature
        """Follow a session from now on."""
        self._session(event.session_id)
        known = median(self._waits) if self._waits else None
        self._tell(SessionExpected(event.session_id, event.slot_ids, known))

    def on_written(self, sender: object = None, *, event: TtsWritten) -> None:  # noqa: ARG002 - as above
        """Note that one more utterance is out."""
        session = self._session(event.session_id)
        session.written[event.audio_path] = (event, self._clock())
        if not self._available():
            self._give_up(session, event, NOT_MADE, "what makes them does not run")

    def on_ended(self, sender: object = None, *, event: WorkDone | WorkFailed) -> None:  # noqa: ARG002 - as above
        """Note what came of one; success after a failure counts, if it is not too late."""
        source = event.source
        session = self._sessions.get(source.session_id)
        written = session.written.get(source.audio_path) if session else None
        earlier = session.results.get(source.audio_path) if session else None
        if isinstance(earlier, WorkDone):
            return
        result: WorkDone | Missing
        if isinstance(event, WorkDone):
            result = event
            waited_s = self._clock() - written[1] if written else None
            if waited_s is not None and earlier is None:
                self._waits.append(waited_s)
            self._tell(UtteranceDone(event, waited_s))
        else:
            result = Missing(source, event.reason, event.message)
            self._tell(UtteranceMissing(result, event))
        if session is not None and written is not None:
            session.results[source.audio_path] = result
            self._advance(session)

    def on_turn_finished(self, sender: object = None, *, event: TurnFinished) -> None:  # noqa: ARG002 - as above
        """Note that no further utterance of a turn will come."""
        session = self._session(event.session_id)
        session.closed_turns.add(event.turn_index)
        self._advance(session)

    def on_finished(self, sender: object = None, *, event: SessionFinished) -> None:  # noqa: ARG002 - as above
        """Note that no further utterance will come at all."""
        session = self._session(event.session_id)
        session.closed_turns |= {written.turn_index for written, _ in session.written.values()}
        session.finished = True
        self._advance(session)

    def sweep(self) -> None:
        """Give up what has been out for too long, forget what was lost; to be called at times."""
        now, available = self._clock(), self._available()
        for session in list(self._sessions.values()):
            for event, written_at in list(session.written.values()):
                if event.audio_path in session.results:
                    continue
                if not available:
                    self._give_up(session, event, NOT_MADE, "what makes them does not run")
                elif now - written_at >= self._patience_s:
                    self._give_up(session, event, NO_ANSWER, f"none after {self._patience_s:.0f} s")
            if now - session.heard_at >= FORGET_S:
                self._sessions.pop(session.id, None)

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            if len(self._sessions) >= MAX_SESSIONS:
                oldest = next(iter(self._sessions))
                log.warning("too many sessions at once; the oldest is forgotten", session_id=oldest)
                del self._sessions[oldest]
            session = self._sessions[session_id] = _Session(session_id, self._clock())
        session.heard_at = self._clock()
        return session

    def _give_up(self, session: _Session, event: TtsWritten, reason: str, message: str) -> None:
        missing = Missing(event, reason, message)
        session.results[event.audio_path] = missing
        self._tell(UtteranceMissing(missing, None))
        self._advance(session)

    def _advance(self, session: _Session) -> None:
        """Tell every group that is over now, small ones first."""
        self._tell_dialogues(session)
        for turn_index in sorted(session.closed_turns - session.told_turns):
            members = session.members(lambda event, t=turn_index: event.turn_index == t)  # type: ignore[misc]  # bound at once
            if not session.all_in(members):
                break
            session.told_turns.add(turn_index)
            self._tell(TurnOver(session.id, *session.group(members), turn_index))
        everything = session.members(lambda _: True)
        if session.finished and session.all_in(everything):
            self._sessions.pop(session.id, None)
            self._tell(SessionOver(session.id, *session.group(everything)))

    def _tell_dialogues(self, session: _Session) -> None:
        for reply in session.members(lambda event: event.kind == "reply"):
            slot_id = reply.slot_id
            comments = session.members(lambda event, s=slot_id: event.target_slot_id == s)  # type: ignore[misc]  # bound at once
            members = [*comments, reply]
            if slot_id not in session.told_dialogues and session.all_in(members):
                session.told_dialogues.add(slot_id)
                self._tell(DialogueOver(session.id, *session.group(members), slot_id))
