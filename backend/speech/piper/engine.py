"""Piper: a neural voice on this machine, in child processes that keep its model loaded.

Why not in this process: Piper finds its phonemes with espeak-ng, which ends the process it runs in
on some texts, and a model is some hundred megabytes that the server need not hold. A child speaks
one utterance at a time and waits for the next; one that hangs or dies is replaced. The protocol of
the two sides stands in `piper_child`.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

from backend.errors import SpeechError
from backend.speech.children import STOPPED, ChildDiedError, Children, trying_twice
from backend.speech.engine import DEFAULT_TIMEOUT_S, MAX_DURATION_S, SAMPLE_WIDTH, Spoken
from backend.speech.profiles import VoiceProfile, resolve_profile
from backend.speech.sound import write_pcm
from backend.speech.text import clean
from backend.speech.voices import Voice
from backend.storage import MAX_RATE_HZ, MIN_RATE_HZ

CHILD_COMMAND = (sys.executable, "-I", str(Path(__file__).with_name("child.py")))
_Child = subprocess.Popen[bytes]


def is_installed() -> bool:
    """Return whether the optional extra `piper` is there, without importing it."""
    return find_spec("piper") is not None


class PiperEngine:
    """Speaks with Piper, offline and without a key.

    Parameters
    ----------
    voices : mapping of VoiceProfile to Voice
        The model and speaker of each profile.
    temporary : Path
        Where WAVs stand while they are being written, on the file system of the artifacts.
    timeout_s : float > 0
        Time one utterance may take, waiting and loading the model included.
    max_requests : int > 0
        Child processes, each with its own copy of the model.
    command : sequence of str
        The child process.
    """

    name = "piper"

    def __init__(
        self,
        voices: Mapping[VoiceProfile, Voice],
        *,
        temporary: Path,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_requests: int = 2,
        command: Sequence[str] = CHILD_COMMAND,
    ) -> None:
        self._voices = voices
        self._temporary = temporary
        self._timeout_s = timeout_s
        self._command = command
        self._places = threading.BoundedSemaphore(max_requests)
        self._children = Children()
        self._idle: list[_Child] = []

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path`; see `SpeechEngine`."""
        voice = self._voices[resolve_profile(voice_profile)]
        request = {
            "text": clean(text),
            "model": str(Path(voice.model).resolve()),
            "speaker": voice.voice,
            "length_scale": 1 / voice.speed,
            "max_duration_s": MAX_DURATION_S,
        }
        deadline = monotonic() + self._timeout_s
        if not self._places.acquire(timeout=self._timeout_s):
            raise SpeechError(f"piper was busy for {self._timeout_s:g} s")
        line = json.dumps(request).encode() + b"\n"
        try:
            sample_rate, pcm = trying_twice(
                lambda left_s: self._ask(line, left_s), deadline - monotonic()
            )
        finally:
            self._places.release()
        return write_pcm(path, pcm, sample_rate, self._temporary)

    def check(self) -> str:
        """Return that Piper and its models are there; see `SpeechEngine`."""
        if not is_installed():
            raise SpeechError("piper is not installed: uv sync --inexact --extra piper")
        models = sorted({voice.model for voice in self._voices.values()})
        for model in models:
            for file in (Path(model), Path(f"{model}.json")):
                if not file.is_file():
                    raise SpeechError(f"{file} is missing: a Piper voice is .onnx and .onnx.json")
        return ", ".join(models)

    def close(self) -> None:
        """Kill the child processes; see `SpeechEngine`."""
        self._children.close()
        while self._idle:
            self._children.end(self._idle.pop())

    def _ask(self, request: bytes, limit_s: float) -> tuple[int, bytes]:
        """Let a child answer; it is killed at the time limit, and kept if it answered well."""
        child = self._take()
        expired = threading.Event()

        def kill() -> None:
            expired.set()
            child.kill()

        timer = threading.Timer(max(0.0, limit_s), kill)
        timer.daemon = True
        timer.start()
        answered = False
        try:
            header, pcm = _exchange(child, request)
            answered = True
        except (OSError, ValueError) as error:
            if self._children.closed:
                raise SpeechError(STOPPED) from error
            if expired.is_set():
                reason = f"piper's process took longer than {self._timeout_s:g} s"
                raise SpeechError(reason) from error
            raise ChildDiedError("piper's process died") from error
        finally:
            timer.cancel()
            if answered and not expired.is_set() and not self._children.closed:
                self._idle.append(child)
            else:
                self._children.end(child)
        return _checked(header, pcm)

    def _take(self) -> _Child:
        """Return an idle child that still runs, or a new one."""
        while self._idle:
            with suppress(IndexError):  # another thread was quicker
                child = self._idle.pop()
                if child.poll() is None:
                    return child
                self._children.end(child)
        return self._start()

    def _start(self) -> _Child:
        try:
            return self._children.start(self._command, Path.cwd())
        except OSError as error:
            raise SpeechError(f"piper could not be started: {error.strerror or error}") from error


def _exchange(child: _Child, request: bytes) -> tuple[dict[str, Any], bytes]:
    """Send one request and read one whole answer.

    Raises
    ------
    OSError, ValueError
        If the child ends, or what it says is no answer.
    """
    if child.stdin is None or child.stdout is None:
        raise ValueError("no pipes")
    child.stdin.write(request)
    child.stdin.flush()
    header = json.loads(child.stdout.readline())
    if not isinstance(header, dict):
        raise ValueError("no header")  # noqa: TRY004 - what is wrong is the answer
    n_bytes = int(header.get("n_bytes", 0))
    pcm = child.stdout.read(n_bytes) if n_bytes > 0 else b""
    if len(pcm) != n_bytes:
        raise ValueError("half an answer")
    return header, pcm


def _checked(header: dict[str, Any], pcm: bytes) -> tuple[int, bytes]:
    if "error" in header:
        raise SpeechError(f"piper failed ({header['error']}): look at its model with `voices`")
    sample_rate = header.get("sample_rate")
    if not isinstance(sample_rate, int) or not MIN_RATE_HZ <= sample_rate <= MAX_RATE_HZ:
        raise SpeechError(f"piper's model has {sample_rate} Hz, not {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    return sample_rate, pcm[: len(pcm) // SAMPLE_WIDTH * SAMPLE_WIDTH]
