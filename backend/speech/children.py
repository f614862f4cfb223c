"""Child processes that speak: run one to its end, or end all of them at the host's stop."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import structlog

from backend.errors import SpeechError

T = TypeVar("T")

log = structlog.get_logger(__name__)

CREATION_FLAGS = 0
if sys.platform == "win32":
    CREATION_FLAGS = subprocess.CREATE_NO_WINDOW
STOPPED: Final = "the voice was stopped with the installation"


class ChildDiedError(SpeechError):
    """A voice's process ended before it had answered; another may do better."""


def trying_twice(speak: Callable[[float], T], timeout_s: float) -> T:
    """Return `speak(seconds left)`; if its process died, that of one more try in the time left.

    The system may kill a voice that did nothing wrong, when memory runs out for one.
    """
    ends_at = monotonic() + timeout_s
    try:
        return speak(timeout_s)
    except ChildDiedError as error:
        left_s = ends_at - monotonic()
        if left_s <= 0:
            raise
        log.warning("a voice's process died; it is tried once more", reason=str(error))
    return speak(left_s)


class Children:
    """The running child processes of one engine; any thread may start one, or close them all."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self, command: Sequence[str], cwd: Path) -> subprocess.Popen[bytes]:
        """Return a new child; the caller hands it to `end` whatever becomes of it.

        Raises
        ------
        SpeechError
            If `close` was called.
        OSError
            If it cannot be started.
        """
        # No session of its own: Linux shares a core between sessions first and heeds niceness only
        # within one (sched(7), autogroup), so the workers that make waves would not yield to it.
        # What the child says on stderr is dropped: it may hold the text.
        with _deaf_to_ctrl_c():
            child = subprocess.Popen(  # noqa: S603 - our own script, no shell, no text in the arguments
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=cwd,
                creationflags=CREATION_FLAGS,
            )
        with self._lock:
            self._running.add(child)
            closed = self._closed
        if closed:
            self.end(child)
            raise SpeechError(STOPPED)
        return child

    def end(self, child: subprocess.Popen[bytes]) -> None:
        """Kill `child` if it still runs, and reap it."""
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):  # what it had not read when it died
                    pipe.close()
        with self._lock:
            self._running.discard(child)

    def run(
        self, command: Sequence[str], request: bytes, *, cwd: Path, timeout_s: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a child on `request`, or kill it at the time limit; either way it is reaped.

        Raises
        ------
        SpeechError
            If `close` was called, before or meanwhile.
        subprocess.TimeoutExpired
            If it was killed at the time limit.
        OSError
            If it cannot be started.
        """
        child = self.start(command, cwd)
        try:
            stdout, _ = child.communicate(request, timeout=timeout_s)
        finally:
            self.end(child)
        if self._closed and child.returncode != 0:
            raise SpeechError(STOPPED)
        return subprocess.CompletedProcess(command, child.returncode, stdout)

    def close(self) -> None:
        """Kill every running child; who waits for one is told that the voice was stopped."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            child.kill()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Block SIGINT in this thread meanwhile: a child inherits that, even while it starts.

    Ctrl-C in a terminal reaches every process; it is the server that ends its voices.
    """
    if os.name != "posix":  # CREATE_NO_WINDOW keeps the child off the terminal
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
