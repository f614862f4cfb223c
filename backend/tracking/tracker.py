"""Track sessions by their signals: which utterances are awaited, and which groups are over.

    signal                             what is told
    session_started                    SessionExpected
    tts_written                        nothing yet: its outcome is awaited
    outcomes (done, failed)            UtteranceDone, UtteranceMissing
    turn_finished, session_finished    DialogueOver, TurnOver, SessionOver

A group is over when no further utterance of it can come and each has an outcome. An utterance is
missing at once if it failed or its plugin is not `available`, and later if no outcome comes in
time. Turns of a session are told in order, and `SessionOver` once for each session. The outcome of
an utterance that is not tracked is told and changes no group.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import inf
from statistics import median
from time import monotonic
from typing import Any

import structlog

from backend.signals import (
    SessionFinished,
    SessionStarted,
    Signal,
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
    Missing,
    SessionExpected,
    SessionOver,
    TrackedEvent,
    TurnOver,
    UtteranceDone,
    UtteranceMissing,
)

log = structlog.get_logger(__name__)

TRACKED_SIGNALS = ("session_started", "tts_written", "turn_finished", "session_finished")
"""What a plugin with a tracker listens to, beside the outcomes."""

SILENCE_LIMIT_S = 3600.0
"""A session without a signal for so long has no end of its own."""
MAX_SESSIONS = 256
MEDIAN_OVER = 101
"""Utterances that count in the median time from speech to files."""
SWEEP_S = 0.5

NOT_RUNNING = "not_running"
NO_ANSWER = "no_answer"
MESSAGES = {
    NOT_RUNNING: "the plugin that makes the files does not run",
    NO_ANSWER: "there are no files within the time limit",
}


@dataclass(slots=True)
class _Utterance:
    source: TtsWritten
    written_at: float
    result: WorkDone | Missing | None = None


@dataclass(slots=True)
class _Session:
    id: str
    changed_at: float
    slot_ids: tuple[int, ...] = ()
    finished_at: float = inf
    utterances: dict[str, _Utterance] = field(default_factory=dict)
    """By audio path."""
    closed_turns: set[int] = field(default_factory=set)
    """Turns without further utterances."""
    told_turns: set[int] = field(default_factory=set)
    told_dialogues: set[int] = field(default_factory=set)


class SessionTracker:
    """Tells what becomes of the utterances of each session.

    Parameters
    ----------
    outcomes : pair of signals
        (done, failed), with payloads derived from `WorkDone` and `WorkFailed`; see
        `backend.plugins.Plugin.outcomes`.
    tell : callable
        Gets each `TrackedEvent` on the event loop's thread, and must return at once.
    available : callable
        Whether the plugin that sends the outcomes runs.
    wait_limit_s, end_limit_s : float
        An utterance without an outcome is missing so long after its speech, or after the end of
        its session.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        outcomes: tuple[Signal[Any], Signal[Any]],
        tell: Callable[[TrackedEvent], None],
        *,
        available: Callable[[], bool],
        wait_limit_s: float = inf,
        end_limit_s: float = inf,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._outcomes = outcomes
        self._tell = tell
        self._available = available
        self._wait_limit_s = wait_limit_s
        self._end_limit_s = end_limit_s
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._waits: deque[float] = deque(maxlen=MEDIAN_OVER)

    def __len__(self) -> int:
        """Return how many sessions are tracked."""
        return len(self._sessions)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Track sessions while the block runs, on the running event loop."""
        self._sweep_later()
        with ExitStack() as stack:
            stack.callback(lambda: self._timer.cancel())
            stack.enter_context(session_started.connected_to(self._on_started))
            stack.enter_context(tts_written.connected_to(self._on_written))
            stack.enter_context(turn_finished.connected_to(self._on_turn_finished))
            stack.enter_context(session_finished.connected_to(self._on_finished))
            for outcome in self._outcomes:
                stack.enter_context(outcome.connected_to(self._on_outcome))
            yield

    def sweep(self) -> None:
        """Give up utterances and sessions whose time is over; called every `SWEEP_S`."""
        now, available = self._clock(), self._available()
        for session in list(self._sessions.values()):
            if now - session.changed_at >= SILENCE_LIMIT_S:
                self._end(session)
                continue
            ended = now - session.finished_at >= self._end_limit_s
            for utterance in list(session.utterances.values()):
                late = ended or now - utterance.written_at >= self._wait_limit_s
                if utterance.result is None and (late or not available):
                    self._give_up(session, utterance, NO_ANSWER if available else NOT_RUNNING)

    def _sweep_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep_regularly)

    def _sweep_regularly(self) -> None:
        self._sweep_later()
        self.sweep()

    def _on_started(self, _: object, *, event: SessionStarted) -> None:
        self._session(event.session_id).slot_ids = event.slot_ids
        median_s = median(self._waits) if self._waits else None
        self._tell(SessionExpected(event.session_id, event.slot_ids, median_s, event.turns))

    def _on_written(self, _: object, *, event: TtsWritten) -> None:
        session = self._session(event.session_id)
        utterance = session.utterances[event.audio_path] = _Utterance(event, self._clock())
        if not self._available():
            self._give_up(session, utterance, NOT_RUNNING)

    def _on_outcome(self, _: object, *, event: WorkDone | WorkFailed) -> None:
        session = self._sessions.get(event.source.session_id)
        utterance = session.utterances.get(event.source.audio_path) if session else None
        earlier = utterance.result if utterance else None
        if isinstance(earlier, WorkDone):
            return
        first = earlier is None
        result: WorkDone | Missing
        if isinstance(event, WorkDone):
            result = event
            waited_s = self._clock() - utterance.written_at if utterance else None
            if waited_s is not None and first:
                self._waits.append(waited_s)
            self._tell(UtteranceDone(event, waited_s, first))
        else:
            result = Missing(event.source, event.reason, event.message)
            self._tell(UtteranceMissing(result, event, first))
        if session and utterance:
            utterance.result = result
            self._advance(session)

    def _on_turn_finished(self, _: object, *, event: TurnFinished) -> None:
        session = self._session(event.session_id)
        session.closed_turns.add(event.turn_index)
        self._advance(session)

    def _on_finished(self, _: object, *, event: SessionFinished) -> None:
        self._finish(self._session(event.session_id))

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            if len(self._sessions) >= MAX_SESSIONS:
                oldest = next(iter(self._sessions.values()))
                log.warning("too many sessions; the oldest is given up", session_id=oldest.id)
                self._end(oldest)
            session = self._sessions[session_id] = _Session(session_id, self._clock())
        session.changed_at = self._clock()
        return session

    def _give_up(self, session: _Session, utterance: _Utterance, reason: str) -> None:
        missing = Missing(utterance.source, reason, MESSAGES[reason])
        utterance.result = missing
        self._tell(UtteranceMissing(missing, None))
        self._advance(session)

    def _finish(self, session: _Session) -> None:
        session.finished_at = self._clock()
        session.closed_turns |= {one.source.turn_index for one in session.utterances.values()}
        self._advance(session)

    def _end(self, session: _Session) -> None:
        """Finish a session and give up all that is awaited, so that it is over."""
        self._finish(session)
        for utterance in list(session.utterances.values()):
            if utterance.result is None:
                self._give_up(session, utterance, NO_ANSWER)

    def _advance(self, session: _Session) -> None:
        """Tell each group that is over now, small ones first."""
        everything = sorted(
            session.utterances.values(), key=lambda one: (one.source.turn_index, one.source.slot_id)
        )
        for slot_id in [one.source.slot_id for one in everything if one.source.kind == "reply"]:
            results = _results(
                one
                for one in everything
                if one.source.target_slot_id == slot_id
                or (one.source.kind == "reply" and one.source.slot_id == slot_id)
            )
            if results is not None and slot_id not in session.told_dialogues:
                session.told_dialogues.add(slot_id)
                self._tell(DialogueOver(session.id, *results, slot_id))
        for turn_index in sorted(session.closed_turns - session.told_turns):
            results = _results(one for one in everything if one.source.turn_index == turn_index)
            if results is None:
                break
            session.told_turns.add(turn_index)
            self._tell(TurnOver(session.id, *results, turn_index, session.slot_ids))
        results = _results(everything)
        if results is not None and session.finished_at < inf:
            del self._sessions[session.id]
            self._tell(SessionOver(session.id, *results))


def _results(
    utterances: Iterable[_Utterance],
) -> tuple[tuple[WorkDone, ...], tuple[Missing, ...]] | None:
    """Return the results, done and missing; None if one is awaited."""
    results = [one.result for one in utterances]
    done = tuple(one for one in results if isinstance(one, WorkDone))
    missing = tuple(one for one in results if isinstance(one, Missing))
    return (done, missing) if len(done) + len(missing) == len(results) else None
