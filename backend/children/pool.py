"""Child processes of one kind, and the protocol between parent and child.

    stdin   one request: a header as a line of JSON with "n_bytes", then that many bytes
    stdout  the answer in the same form; or {"error"}

The length comes first, so that half an answer is never taken for a whole one. A child that dies is
replaced once: the system may kill one that did nothing wrong, when memory runs out.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from backend.environment import inherited
from backend.errors import ReflectiveResonanceError

log = structlog.get_logger(__name__)

CREATION_FLAGS: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows alone
Child = subprocess.Popen[bytes]


class ChildError(ReflectiveResonanceError):
    """A request got no answer; the message starts with the label of the children."""


class ChildTimeoutError(ChildError):
    """A child took longer than the time limit and was killed."""


class ChildDiedError(ChildError):
    """A child ended before it had answered; another may do better."""


def child_command(handler: Path, *options: str) -> tuple[str, ...]:
    """Return the command of a child whose requests the file `handler` answers; see `serve`.

    `-I` keeps the caller's environment and the current directory out of `sys.path`; the option
    `-S` keeps site-packages out.
    """
    serve = Path(__file__).with_name("serve.py")
    return (sys.executable, "-I", *options, str(serve), str(handler))


class ChildPool:
    """Children that run `command`; any thread may ask one, or close all.

    `label` is what messages call them. `timeout_s` covers all waiting of one request; `advice` says
    what to do where that is too short. More than `max_requests` at once wait. With `reuse` a child
    that answered gets the next request too. `n_spare` children are started before they are needed.
    """

    def __init__(
        self,
        label: str,
        command: Sequence[str],
        *,
        timeout_s: float,
        max_requests: int,
        reuse: bool,
        n_spare: int = 0,
        advice: str = "",
        folder: Path | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._label = label
        self._advice = advice
        self._command = command
        self._reuse = reuse
        self._n_spare = n_spare
        self._folder = folder
        self._places = threading.BoundedSemaphore(max_requests)
        self._running: set[Child] = set()
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        self._closed = False

    def ask(
        self, header: Mapping[str, object], payload: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        """Return header and payload of a child's answer, from a second child if need be.

        Raises
        ------
        ChildError
            If there is none.
        """
        request = json.dumps({**header, "n_bytes": len(payload)}).encode() + b"\n" + payload
        ends_at = monotonic() + self._timeout_s
        if not self._places.acquire(timeout=self._timeout_s):
            raise ChildError(f"{self._label} was busy for {self._timeout_s:g} s")
        try:
            try:
                return self._ask(request, ends_at)
            except ChildDiedError as error:
                if monotonic() >= ends_at:
                    raise
                log.warning("a child process died; another one is tried", reason=str(error))
            return self._ask(request, ends_at)
        finally:
            self._places.release()
            self.start_spare()

    def start_spare(self) -> None:
        """Start the children that are not needed yet."""
        while len(self._idle) < self._n_spare and not self._closed:
            try:
                self._keep(self._start())
            except ChildError as error:
                log.warning("no child process was started ahead of need", reason=str(error))
                return

    def close(self) -> None:
        """Kill the children; further requests are refused."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            child.kill()
        self._end_idle()

    def _ask(self, request: bytes, ends_at: float) -> tuple[dict[str, Any], bytes]:
        """Return the answer of a child, which is killed at the time limit."""
        child = self._take()
        timer = threading.Timer(max(0.0, ends_at - monotonic()), child.kill)
        timer.daemon = True
        timer.start()
        is_whole = False
        try:
            header, payload = self._exchange(child, request)
            is_whole = True
        except (OSError, ValueError) as error:
            raise self._failure(child, error, ends_at) from error
        finally:
            timer.cancel()
            if is_whole and self._reuse and monotonic() < ends_at:
                self._keep(child)
            else:
                self._end(child)
        if "error" in header:
            raise ChildError(f"{self._label} failed: {header['error']}")
        return header, payload

    def _exchange(self, child: Child, request: bytes) -> tuple[dict[str, Any], bytes]:
        """Send one request and read one whole answer; raise ValueError if it is none."""
        if child.stdin is None or child.stdout is None:
            raise ValueError("its process has no pipes")
        with suppress(BrokenPipeError):  # what it says, or how it ended, tells more
            child.stdin.write(request)
            child.stdin.flush()
            if not self._reuse:
                child.stdin.close()
        header = _parse(child.stdout.readline())
        if "error" in header:
            return header, b""
        expected = header.get("n_bytes")
        n_bytes = max(0, expected) if isinstance(expected, int) else 0
        payload = child.stdout.read(n_bytes if self._reuse else -1)
        if len(payload) != expected:
            raise ValueError(
                f"its process sent {len(payload)} bytes, not the {expected} it announced"
            )
        if not self._reuse and child.wait() != 0:
            raise ValueError("its process failed after its answer")
        return header, payload

    def _failure(self, child: Child, error: Exception, ends_at: float) -> ChildError:
        """Return why `child` gave no whole answer, once it has ended."""
        returncode = _wait(child)  # the timer kills one that goes on
        if self._closed:
            return self._refusal()
        if monotonic() >= ends_at:
            advice = f": {self._advice}" if self._advice else ""
            return ChildTimeoutError(
                f"{self._label} took longer than {self._timeout_s:g} s and was killed{advice}"
            )
        reason = _describe_exit(returncode) if returncode else str(error)
        return ChildDiedError(f"{self._label} failed: {reason}")

    def _refusal(self) -> ChildError:
        return ChildError(f"{self._label} was stopped with the installation")

    def _take(self) -> Child:
        """Return an idle child that still runs, or a new one."""
        while self._idle:
            with suppress(IndexError):  # another thread was quicker
                child = self._idle.pop(0)
                if child.poll() is None:
                    return child
                self._end(child)
        return self._start()

    def _start(self) -> Child:
        # No session of its own: Linux shares a core between sessions first and heeds niceness only
        # within one (sched(7), autogroup), so the workers that make waves would not yield to it.
        # What the child says on stderr is dropped: it may hold a visitor's words.
        try:
            with _sigint_blocked():
                child = subprocess.Popen(  # noqa: S603 - our own script, no shell, no text in the arguments
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    cwd=self._folder,
                    env=inherited(),
                    creationflags=CREATION_FLAGS,
                )
        except OSError as error:
            reason = error.strerror or error
            raise ChildError(f"{self._label} could not be started: {reason}") from error
        with self._lock:
            self._running.add(child)
            closed = self._closed
        if closed:
            self._end(child)
            raise self._refusal()
        return child

    def _keep(self, child: Child) -> None:
        """Let `child` wait for the next request."""
        self._idle.append(child)
        if self._closed:  # perhaps since before it was idle
            self._end_idle()

    def _end_idle(self) -> None:
        with suppress(IndexError):  # none is left, or another thread has taken the last one
            while True:
                self._end(self._idle.pop())

    def _end(self, child: Child) -> None:
        """Kill `child` if it still runs, and reap it."""
        child.kill()
        _wait(child)
        with self._lock:
            self._running.discard(child)


def _wait(child: Child) -> int:
    """Close the pipes of `child`, and return its exit code when it has ended."""
    with suppress(BrokenPipeError), child:  # what it had not read when it died
        pass
    return child.wait()


def _parse(head: bytes) -> dict[str, Any]:
    """Return the first line of an answer; empty if it is not one of ours."""
    try:
        header = json.loads(head)
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def _describe_exit(returncode: int) -> str:
    """Return how a child process ended, by the signal's name if it was one."""
    if returncode >= 0:
        return f"its process ended with exit code {returncode}"
    try:
        return f"its process was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"its process was ended by signal {-returncode}"


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT in this thread meanwhile: a child inherits that, even while it starts.

    Ctrl-C in a terminal reaches every process; it is the server that ends its children.
    """
    if os.name != "posix":  # CREATE_NO_WINDOW keeps the child off the terminal
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
