"""espeak-ng and Piper, which speak in child processes, by the protocol of `backend.children`.

In this process they would not be safe: espeak-ng keeps global state, two threads in it crash, and
some texts end the process; Piper makes its phonemes with it. A new child of espeak-ng costs some
50 ms and holds nothing of the last visitor; those of Piper keep a model of some hundred megabytes.

A request holds "text", "max_duration_s" and what the voice needs; the answer "sample_rate", and
16-bit PCM.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import espeakng_loader

from backend.children import ChildError, ChildPool, child_command
from backend.errors import SpeechError
from backend.speech.engine import DEFAULT_TIMEOUT_S, MAX_DURATION_S, SAMPLE_WIDTH, Spoken
from backend.speech.profiles import (
    EMBEDDED_VOICES,
    PROFILES,
    EmbeddedVoice,
    VoiceProfile,
    resolve_profile,
)
from backend.speech.text import clean
from backend.speech.voices import Voice
from backend.storage import MAX_RATE_HZ, MIN_RATE_HZ

V = TypeVar("V")

ESPEAK: Final = child_command(Path(__file__).with_name("espeak_child.py"), "-S")
PIPER: Final = child_command(Path(__file__).with_name("piper_child.py"))
_PACKAGE = Path(espeakng_loader.__file__).parent
_GRACE_S = 1.0
"""How much later than the parent's limit a child without a parent ends itself."""


class ChildEngine(ABC, Generic[V]):
    """A speech engine in child processes; `command` replaces its own child process."""

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
        self._children = ChildPool(
            self.label,
            command or self.child_command,
            timeout_s=timeout_s,
            max_requests=max_requests,
            reuse=self.reuses_children,
            folder=self.child_folder,
            advice="raise RR_SPEECH_TIMEOUT_S if this machine is slow",
        )

    @abstractmethod
    def request(self, voice: V) -> dict[str, object]:
        """Return the parameters of `voice` for the child."""

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        """Speak `text` into `path`; see `SpeechEngine`."""
        request = self.request(self._voices[resolve_profile(voice_profile)])
        request |= {"text": clean(text), "max_duration_s": MAX_DURATION_S}
        try:
            header, pcm = self._children.ask(request)
        except ChildError as error:
            raise SpeechError(str(error)) from error
        sample_rate = header.get("sample_rate")
        if not isinstance(sample_rate, int) or not MIN_RATE_HZ <= sample_rate <= MAX_RATE_HZ:
            raise SpeechError(
                f"{self.label} speaks at {sample_rate} Hz, not {MIN_RATE_HZ} to {MAX_RATE_HZ}"
            )
        if len(pcm) % SAMPLE_WIDTH:
            raise SpeechError(f"{self.label} sent half a sample at the end of {len(pcm)} bytes")
        from backend.speech.sound import write_pcm  # imports numpy; the host does so on a thread

        return write_pcm(path, pcm, sample_rate, self.temporary)

    def close(self) -> None:
        """Kill the children; see `SpeechEngine`."""
        self._children.close()


class EmbeddedEngine(ChildEngine[EmbeddedVoice]):
    """Speaks with espeak-ng, offline and without a key."""

    name = "embedded"
    label = "the embedded voice"
    child_command = ESPEAK
    child_folder = _PACKAGE
    reuses_children = False

    def __init__(
        self,
        voices: Mapping[VoiceProfile, EmbeddedVoice] = EMBEDDED_VOICES,
        *,
        max_requests: int = 6,
        **options: Any,
    ) -> None:
        super().__init__(voices, max_requests=max_requests, **options)

    def request(self, voice: EmbeddedVoice) -> dict[str, object]:
        """Return the parameters of `voice`; see `ChildEngine`."""
        return asdict(voice) | {
            "library": espeakng_loader.get_library_path(),
            "limit_s": self._timeout_s + _GRACE_S,
        }

    def check(self) -> str:
        """Return that every voice's file is there; see `SpeechEngine`."""
        data = _PACKAGE / "espeak-ng-data"
        languages = {file.name.lower() for file in (data / "lang").rglob("*") if file.is_file()}
        missing = []
        for embedded in self._voices.values():  # espeak-ng itself ignores an unknown variant
            language, _, variant = embedded.voice.partition("+")
            known_variant = not variant or (data / "voices" / "!v" / variant).is_file()
            if language not in languages or not known_variant:
                missing.append(embedded.voice)
        if missing:
            raise SpeechError(f"missing: {', '.join(missing)}; reinstall espeakng-loader")
        return f"all {len(PROFILES)} are there"


class PiperEngine(ChildEngine[Voice]):
    """Speaks with Piper, offline."""

    name = "piper"
    label = "piper"
    child_command = PIPER
    reuses_children = True

    def request(self, voice: Voice) -> dict[str, object]:
        """Return model, speaker and speed of `voice`; see `ChildEngine`."""
        return {
            "model": str(Path(voice.model).resolve()),
            "speaker": voice.voice,
            "length_scale": 1 / voice.speed,
        }

    def check(self) -> str:
        """Return that the models are there; see `SpeechEngine`."""
        models = sorted({voice.model for voice in self._voices.values()})
        for model in models:
            for file in (Path(model), Path(f"{model}.json")):
                if not file.is_file():
                    raise SpeechError(f"{file} is missing: a Piper voice is .onnx and .onnx.json")
        return ", ".join(models)
