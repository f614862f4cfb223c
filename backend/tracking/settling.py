"""When a session has settled: it has finished, and work on each of its utterances has ended.

    session_started      followed from here on
    tts_written          one more outcome to wait for, if the work is done at all
    outcomes             each utterance's first one counts: made up for later, it has settled long
                         ago
    session_finished     settled once nothing is waited for, or when the time limit is over

A subscriber that wants to tell "all is there" needs exactly this, and one that removes files needs
to know when nobody works on them. Everything happens on the event loop's thread.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from blinker import NamedSignal

from backend.signals import (
    SessionFinished,
    SessionStarted,
    TtsWritten,
    WorkDone,
    WorkFailed,
    session_finished,
    session_started,
    tts_written,
)

Outcome = WorkDone | WorkFailed


@dataclass(slots=True)
class _Session:
    awaited: dict[str, TtsWritten] = field(default_factory=dict)
    """The utterances that have no outcome, by audio path."""
    timer: asyncio.TimerHandle | None = None
    """Runs once the session has finished."""


class Settling:
    """Follows every session until it has settled; override the three methods that tell.

    Parameters
    ----------
    outcomes : tuple of NamedSignal
        The signals that end the work on an utterance; see `backend.plugins.Plugin.outcomes`.
    works : callable
        Whether the work is done at all: asked at each utterance, so that nobody waits for a plugin
        that is off.
    limit_s : float
        How long outcomes are waited for after `session_finished`.
    """

    def __init__(
        self, outcomes: tuple[NamedSignal, ...], works: Callable[[], bool], limit_s: float
    ) -> None:
        self._outcomes = outcomes
        self._works = works
        self._limit_s = limit_s
        self._sessions: dict[str, _Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def started(self, session_id: str) -> None:
        """Do what is to be done when a session starts."""

    def ended(self, outcome: Outcome) -> None:
        """Do what is to be done when work on an utterance has ended."""

    def settled(self, session_id: str, missing: tuple[TtsWritten, ...]) -> None:
        """Do what is to be done when a session has settled; `missing` had no outcome in time."""

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow sessions while the block runs; those that run at its end are let go of."""
        with ExitStack() as stack:
            stack.callback(self._forget)
            stack.enter_context(session_started.connected_to(self._on_started))
            stack.enter_context(tts_written.connected_to(self._on_written))
            stack.enter_context(session_finished.connected_to(self._on_finished))
            for outcome in self._outcomes:
                stack.enter_context(outcome.connected_to(self._on_outcome))
            yield

    def _on_started(self, _: object, *, event: SessionStarted) -> None:
        self._sessions[event.session_id] = _Session()
        self.started(event.session_id)

    def _on_written(self, _: object, *, event: TtsWritten) -> None:
        session = self._sessions.get(event.session_id)
        if session is not None and self._works():
            session.awaited[event.audio_path] = event

    def _on_outcome(self, _: object, *, event: Outcome) -> None:
        session = self._sessions.get(event.source.session_id)
        if session is None or session.awaited.pop(event.source.audio_path, None) is None:
            return
        self.ended(event)
        if session.timer is not None and not session.awaited:
            self._settle(event.source.session_id)

    def _on_finished(self, _: object, *, event: SessionFinished) -> None:
        session = self._sessions.get(event.session_id)
        if session is None:
            return
        loop = asyncio.get_running_loop()
        session.timer = loop.call_later(self._limit_s, self._settle, event.session_id)
        if not session.awaited:
            self._settle(event.session_id)

    def _settle(self, session_id: str) -> None:
        session = self._sessions.pop(session_id)
        if session.timer is not None:
            session.timer.cancel()
        self.settled(session_id, tuple(session.awaited.values()))

    def _forget(self) -> None:
        for session in self._sessions.values():
            if session.timer is not None:
                session.timer.cancel()
        self._sessions.clear()
