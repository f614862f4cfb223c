"""The engines that speak in child processes, and the protocol between parent and child.

    stdin   one request as a line of JSON, with "text", "max_duration_s" and what the voice needs
    stdout  {"sample_rate", "n_bytes"} as one line, then n_bytes of 16-bit PCM; or {"error"}

The length comes first, so that half an answer is never taken for a whole one. A child that dies is
replaced once: the system may kill one that did nothing wrong, when memory runs out.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Generic, TypeVar

import structlog

from backend.errors import SpeechError
from backend.speech.engine import DEFAULT_TIMEOUT_S, MAX_DURATION_S, SAMPLE_WIDTH, STOPPED, Spoken
from backend.speech.profiles import VoiceProfile, resolve_profile
from backend.speech.text import clean
from backend.storage import MAX_RATE_HZ, MIN_RATE_HZ

V = TypeVar("V")

log = structlog.get_logger(__name__)

CREATION_FLAGS = 0
if sys.platform == "win32":
    CREATION_FLAGS = subprocess.CREATE_NO_WINDOW
Child = subprocess.Popen[bytes]


class ChildDiedError(SpeechError):
    """A child ended before it had answered; another may do better."""


class ChildEngine(ABC, Generic[V]):
    """A speech engine in child processes; any thread may speak with it or close it.

    `timeout_s` covers all waiting of one utterance; more than `max_requests` at once wait.
    `command` replaces the engine's own child process.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    """What messages call the engine."""
    child_command: ClassVar[Sequence[str]]
    child_folder: ClassVar[Path | None] = None
    """The working directory of a child, if it is not the server's."""
    reuses_children: ClassVar[bool]
    """Whether a child that answered gets the next request as well."""

    def __init__(
        self,
        voices: Mapping[VoiceProfile, V],
        *,
        temporary: Path,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_requests: int = 2,
        command: Sequence[str] = (),
    ) -> None:
        self.temporary = temporary
        self._voices = voices
        self._timeout_s = timeout_s
        self._command = command or self.child_command
        self._places = threading.BoundedSemaphore(max_requests)
        self._running: set[Child] = set()
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        self._closed = False

    @abstractmethod
    def check(self) -> str:
        """Return that all files are there; see `SpeechEngine`."""

    @abstractmethod
    def request(self, voice: V) -> dict[str, object]:
        """Return the parameters of `voice` for the child."""

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path`; see `SpeechEngine`."""
        request = self.request(self._voices[resolve_profile(voice_profile)])
        request |= {"text": clean(text), "max_duration_s": MAX_DURATION_S}
        sample_rate, pcm = self._speak(json.dumps(request).encode() + b"\n")
        from backend.speech.sound import write_pcm  # imports numpy; the host does so on a thread

        return write_pcm(path, pcm, sample_rate, self.temporary)

    def close(self) -> None:
        """Kill the children; see `SpeechEngine`."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            child.kill()
        with suppress(IndexError):  # none is left, or another thread has taken the last one
            while True:
                self._end(self._idle.pop())

    def _speak(self, request: bytes) -> tuple[int, bytes]:
        """Return the sample rate and the PCM for `request`, from a second child if need be."""
        ends_at = monotonic() + self._timeout_s
        if not self._places.acquire(timeout=self._timeout_s):
            raise SpeechError(f"{self.label} was busy for {self._timeout_s:g} s")
        try:
            try:
                return self._ask(request, ends_at)
            except ChildDiedError as error:
                if monotonic() >= ends_at:
                    raise
                log.warning("a voice's process died; it is tried once more", reason=str(error))
            return self._ask(request, ends_at)
        finally:
            self._places.release()

    def _ask(self, request: bytes, ends_at: float) -> tuple[int, bytes]:
        """Return the answer of a child, which is killed at the time limit."""
        child = self._take()
        timer = threading.Timer(max(0.0, ends_at - monotonic()), child.kill)
        timer.daemon = True
        timer.start()
        is_whole = False
        try:
            header, pcm = self._exchange(child, request)
            is_whole = True
        except (OSError, ValueError) as error:
            raise self._failure(child, error, ends_at) from error
        finally:
            timer.cancel()
            if is_whole and self.reuses_children and not self._closed and monotonic() < ends_at:
                self._idle.append(child)
            else:
                self._end(child)
        if "error" in header:
            raise SpeechError(f"{self.label} failed: {header['error']}")
        sample_rate = header.get("sample_rate")
        if not isinstance(sample_rate, int) or not MIN_RATE_HZ <= sample_rate <= MAX_RATE_HZ:
            raise SpeechError(
                f"{self.label} speaks at {sample_rate} Hz, not {MIN_RATE_HZ} to {MAX_RATE_HZ}"
            )
        return sample_rate, pcm

    def _exchange(self, child: Child, request: bytes) -> tuple[dict[str, Any], bytes]:
        """Send one request and read one whole answer; raise ValueError if it is none."""
        if child.stdin is None or child.stdout is None:
            raise ValueError("its process has no pipes")
        with suppress(BrokenPipeError):  # what it says, or how it ended, tells more
            child.stdin.write(request)
            child.stdin.flush()
            if not self.reuses_children:
                child.stdin.close()
        header = _parse(child.stdout.readline())
        if "error" in header:
            return header, b""
        expected = header.get("n_bytes")
        n_bytes = max(0, expected) if isinstance(expected, int) else 0
        pcm = child.stdout.read(n_bytes if self.reuses_children else -1)
        if len(pcm) != expected or len(pcm) % SAMPLE_WIDTH:
            raise ValueError(
                f"its process sent {len(pcm)} bytes of speech, not the {expected} it announced"
            )
        if not self.reuses_children and child.wait() != 0:
            raise ValueError("its process failed after its answer")
        return header, pcm

    def _failure(self, child: Child, error: Exception, ends_at: float) -> SpeechError:
        """Return why `child` gave no whole answer, once it has ended."""
        _close_pipes(child)
        returncode = child.wait()  # the timer kills one that goes on
        if self._closed:
            return SpeechError(STOPPED)
        if monotonic() >= ends_at:
            return SpeechError(
                f"{self.label} took longer than {self._timeout_s:g} s and was killed: "
                "raise RR_SPEECH_TIMEOUT_S if this machine is slow"
            )
        reason = _describe_exit(returncode) if returncode else str(error)
        return ChildDiedError(f"{self.label} failed: {reason}")

    def _take(self) -> Child:
        """Return an idle child that still runs, or a new one."""
        while self._idle:
            with suppress(IndexError):  # another thread was quicker
                child = self._idle.pop()
                if child.poll() is None:
                    return child
                self._end(child)
        # No session of its own: Linux shares a core between sessions first and heeds niceness only
        # within one (sched(7), autogroup), so the workers that make waves would not yield to it.
        # What the child says on stderr is dropped: it may hold the text.
        try:
            with _sigint_blocked():
                child = subprocess.Popen(  # noqa: S603 - our own script, no shell, no text in the arguments
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    cwd=self.child_folder,
                    creationflags=CREATION_FLAGS,
                )
        except OSError as error:
            reason = error.strerror or error
            raise SpeechError(f"{self.label} could not be started: {reason}") from error
        with self._lock:
            self._running.add(child)
            closed = self._closed
        if closed:
            self._end(child)
            raise SpeechError(STOPPED)
        return child

    def _end(self, child: Child) -> None:
        """Kill `child` if it still runs, and reap it."""
        child.kill()
        child.wait()
        _close_pipes(child)
        with self._lock:
            self._running.discard(child)


def _close_pipes(child: Child) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None and not pipe.closed:
            with suppress(BrokenPipeError):  # what it had not read when it died
                pipe.close()


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
