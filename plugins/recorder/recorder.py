"""Writes every signal of the sessions that this process runs."""

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import structlog

from backend.plugins import Host
from backend.signals import EventPublished, SessionStarted, Signal, SpeechHeard, defined
from backend.storage import FILE_MODE, make_directory
from backend.tracking import (
    EventQueue,
    PayloadError,
    recording_header,
    recording_line,
    recording_path,
)

log = structlog.get_logger(__name__)

MAX_SESSIONS = 256
"""Sessions whose signals are still written; waves may come long after the last word."""
MAX_HEARD = 64
"""Recordings whose session may still begin."""


@dataclass(slots=True)
class _Session:
    id: str
    began_at: float
    has_file: bool = False
    is_over: bool = False


class _Sent(NamedTuple):
    session: _Session
    at: float
    signal: Signal[Any]
    event: Any


class Recorder:
    """Receives all signals that are defined; what belongs to no session is not written."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._heard: OrderedDict[str, tuple[float, Signal[Any], SpeechHeard]] = OrderedDict()
        self._connected: set[str] = set()
        self._unwritable: set[str] = set()
        self._stack = ExitStack()
        self._queue: EventQueue[_Sent] = EventQueue(self._write, host.gauge)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Record while the block runs, and write what is left at its end."""
        async with self._queue.running():
            with self._stack:
                self._connect()
                yield

    def _connect(self) -> None:
        """Listen to every signal, also to those that a plugin has defined since."""
        for signal in defined():
            if signal.name not in self._connected:
                self._connected.add(signal.name)
                self._stack.enter_context(signal.connected_to(partial(self._receive, signal)))

    def _receive(self, signal: Signal[Any], _: object, *, event: Any) -> None:
        now = monotonic()
        if threading.get_ident() == self._thread:
            self._add(now, signal, event)
        else:
            self._loop.call_soon_threadsafe(self._add, now, signal, event)

    def _add(self, now: float, signal: Signal[Any], event: Any) -> None:
        if isinstance(event, SpeechHeard):
            self._heard[event.heard_id] = now, signal, event
            if len(self._heard) > MAX_HEARD:
                self._heard.popitem(last=False)
            return
        if isinstance(event, EventPublished) and event.number == 1:
            self._begin(now, event.session_id)
        elif isinstance(event, SessionStarted):
            began = self._sessions.get(event.session_id) or self._begin(now, event.session_id)
            if (heard := self._heard.pop(event.heard_id or "", None)) is not None:
                self._queue.put(_Sent(began, *heard))
        owner = event if hasattr(event, "session_id") else getattr(event, "source", None)
        session = self._sessions.get(getattr(owner, "session_id", ""))
        if session is not None and not session.is_over:
            self._queue.put(_Sent(session, now, signal, event))

    def _begin(self, now: float, session_id: str) -> _Session:
        """Note a session at the first that is told of it, its `session.start`."""
        self._connect()
        session = self._sessions[session_id] = _Session(session_id, now)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    async def _write(self, sent: _Sent) -> None:
        session, root = sent.session, self._host.artifacts.root
        if session.is_over:
            return
        at_s = sent.at - session.began_at
        try:
            written = recording_line(
                at_s, sent.signal, sent.event, root, keep_texts=self._host.keep_texts
            )
        except PayloadError as error:
            if sent.signal.name not in self._unwritable:
                self._unwritable.add(sent.signal.name)
                log.warning("a signal is not recorded", signal=sent.signal.name, reason=str(error))
            return
        try:
            start = b"" if session.has_file else recording_header(session.id)
            path = recording_path(self._host.artifacts, session.id)
            await asyncio.to_thread(_append, path, start, written)
            session.has_file = True
        except OSError as error:  # it was removed meanwhile, or the disk is full
            session.is_over = True
            log.warning(
                "signals are not recorded any more", session_id=session.id, reason=str(error)
            )


def _append(path: Path, start: bytes, written: bytes) -> None:
    """Append a line; only with `start` is the file made: one that was removed stays away."""
    if start:
        make_directory(path.parent)
        path.touch(FILE_MODE)
    with open(path, "ab", opener=_open_existing) as file:
        file.write(start + written)


def _open_existing(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_CREAT)
