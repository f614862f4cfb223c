"""An event loop on a thread of its own, for engines that are asked from threads.

Engines block, as the workflow calls them on threads; yet a request under way has to end at a
deadline, however slowly its bytes drip, and at the host's stop. A task can be cancelled at any
await; a thread that waits for a socket cannot.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from backend.errors import SpeechError
from backend.speech.children import STOPPED

T = TypeVar("T")

_CLOSE_LIMIT_S = 2.0


class Background:
    """Runs coroutines for any thread; the loop starts with the first of them.

    Parameters
    ----------
    name : str
        The thread's name.
    at_end : callable
        Awaited on the loop after everything on it was cancelled.
    """

    def __init__(self, name: str, at_end: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._at_end = at_end
        self._lock = threading.Lock()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the result of `coroutine`; blocks the calling thread.

        Raises
        ------
        SpeechError
            If `close` was called, before or meanwhile; else whatever the coroutine raises.
        """
        with self._lock:
            if self._closed:
                coroutine.close()
                raise SpeechError(STOPPED)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise SpeechError(STOPPED) from None

    def close(self) -> None:
        """Cancel what runs, and wait until the thread has ended."""
        with self._lock:
            loop, was_closed, self._closed = self._loop, self._closed, True
            if loop is not None and not was_closed:
                loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None:
            self._thread.join(_CLOSE_LIMIT_S)

    def _serve(self) -> None:
        loop = self._loop
        if loop is None:
            raise RuntimeError("the loop is made before its thread")
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(self._at_end())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
