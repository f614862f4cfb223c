"""An event loop on its own thread, for requests that end at a deadline or at a stop.

A task can be cancelled at any await; a thread that waits for a socket cannot.
"""

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

T = TypeVar("T")

_CLOSE_LIMIT_S = 2.0


class StoppedError(Exception):
    """The call was cancelled by `close`, or came after it."""


class Background:
    """Runs coroutine functions for any thread, and `at_end` last; starts with the first call."""

    def __init__(self, name: str, at_end: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._at_end = at_end
        self._lock = threading.Lock()
        self._closed = False
        self._exits = ExitStack()
        self._portal: BlockingPortal | None = None
        self._running: set[Future[Any]] = set()

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """Wait for `function` and return its result; raise StoppedError if `close` was called."""
        with self._lock:
            if self._closed:
                raise StoppedError
            if self._portal is None:
                self._portal = self._exits.enter_context(start_blocking_portal(name=self._name))
                self._exits.callback(self._portal.call, self._at_end)
            future = self._portal.start_task_soon(function)
            self._running.add(future)
        try:
            return future.result()
        except CancelledError:
            raise StoppedError from None
        finally:
            with self._lock:
                self._running.discard(future)

    def close(self) -> None:
        """Cancel the running calls and end the thread; wait `_CLOSE_LIMIT_S` for it at most."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for future in running:
            future.cancel()
        # A thread of its own: the loop ends only after a lookup of a host name that still runs.
        ending = threading.Thread(target=self._exits.close, daemon=True)
        ending.start()
        ending.join(_CLOSE_LIMIT_S)
