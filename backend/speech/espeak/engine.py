"""The embedded voice: espeak-ng in a child process of its own for every utterance.

Why not in this process: espeak-ng keeps global state, two threads in it crash, and some texts end
the process it runs in (see `text`). Why not a child that stays: a start costs some 50 ms, less than
the silence before an answer, and a fresh child has nothing left over from the last visitor.
The protocol of the two sides stands in `embedded_child`.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import espeakng_loader

from backend.errors import SpeechError
from backend.speech.children import ChildDiedError, Children, trying_twice
from backend.speech.engine import DEFAULT_TIMEOUT_S, SAMPLE_WIDTH, Spoken
from backend.speech.profiles import (
    EMBEDDED_VOICES,
    PROFILES,
    EmbeddedVoice,
    VoiceProfile,
    resolve_profile,
)
from backend.speech.text import clean

CHILD_COMMAND = (sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py")))
_PACKAGE = Path(espeakng_loader.__file__).parent
_GRACE_S = 1.0
"""How much later than the parent's limit a child without a parent ends itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedEngine:
    """Speaks with espeak-ng, offline and without a key."""

    name: ClassVar[str] = "embedded"

    temporary: Path
    """Where WAVs stand while they are being written, on the file system of the artifacts."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Time after which the child process is killed."""
    command: Sequence[str] = CHILD_COMMAND
    """The child process."""
    voices: Mapping[VoiceProfile, EmbeddedVoice] = field(default_factory=lambda: EMBEDDED_VOICES)
    """The voice of each profile."""
    _children: Children = field(default_factory=Children, init=False, repr=False)

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path`; see `SpeechEngine`."""
        profile = resolve_profile(voice_profile)
        spoken_text, voice = clean(text), self.voices[profile]
        sample_rate, pcm = trying_twice(
            lambda left_s: self._synthesise(spoken_text, voice, left_s), self.timeout_s
        )
        from backend.speech.sound import write_pcm  # imports numpy; the host does so on a thread

        return write_pcm(path, pcm, sample_rate, self.temporary)

    def check(self) -> str:
        """Return that every voice's file is there; see `SpeechEngine`."""
        missing = missing_voices(self.voices.values())
        if missing:
            raise SpeechError(f"missing: {', '.join(missing)}; reinstall espeakng-loader")
        return f"all {len(PROFILES)} are there"

    def close(self) -> None:
        """Kill the running child processes; see `SpeechEngine`."""
        self._children.close()

    def _synthesise(self, text: str, voice: EmbeddedVoice, limit_s: float) -> tuple[int, bytes]:
        """Return the sample rate in Hertz and the PCM of `text`."""
        request = asdict(voice) | {
            "library": espeakng_loader.get_library_path(),
            "text": text,
            "limit_s": limit_s + _GRACE_S,
        }
        done = self._run(json.dumps(request).encode(), limit_s)
        head, _, pcm = done.stdout.partition(b"\n")
        header = _parse(head)
        if "error" in header:
            raise SpeechError(f"the embedded voice failed: {header['error']}")
        if done.returncode != 0:
            raise ChildDiedError(f"the embedded voice failed: {_describe_exit(done.returncode)}")
        expected = header.get("n_bytes")
        if expected != len(pcm) or len(pcm) % SAMPLE_WIDTH:
            raise ChildDiedError(
                f"the embedded voice failed: its process sent {len(pcm)} bytes of speech, "
                f"not the {expected} it announced"
            )
        if not pcm.strip(b"\0"):
            raise SpeechError("the embedded voice made no sound of the text: use plain words")
        return header["sample_rate"], pcm

    def _run(self, request: bytes, limit_s: float) -> subprocess.CompletedProcess[bytes]:
        """Run the child to its end, or kill it at the time limit; either way it is reaped."""
        try:
            return self._children.run(self.command, request, cwd=_PACKAGE, timeout_s=limit_s)
        except subprocess.TimeoutExpired as error:
            raise SpeechError(
                f"the embedded voice took longer than {self.timeout_s:g} s and was killed: "
                "raise the time limit of speech if this machine is slow"
            ) from error
        except OSError as error:
            raise SpeechError(
                f"the embedded voice could not be started: {error.strerror or error}"
            ) from error


def missing_voices(voices: Iterable[EmbeddedVoice] | None = None) -> list[str]:
    """Return those of `voices` (by default all) whose files are not installed: `en-us+f2`.

    espeak-ng ignores an unknown variant without a word, so the files are looked at instead.
    """
    data = _PACKAGE / "espeak-ng-data"
    languages = {file.name.lower() for file in (data / "lang").rglob("*") if file.is_file()}
    missing = []
    for embedded_voice in EMBEDDED_VOICES.values() if voices is None else voices:
        language, _, variant = embedded_voice.voice.partition("+")
        known_variant = not variant or (data / "voices" / "!v" / variant).is_file()
        if language not in languages or not known_variant:
            missing.append(embedded_voice.voice)
    return missing


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
