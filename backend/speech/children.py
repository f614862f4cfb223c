"""The speech engines that speak in child processes, by the protocol of `backend.children`.

A request holds "text", "max_duration_s" and what the voice needs; the answer "sample_rate", and
16-bit PCM.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from backend.children import ChildError, ChildPool
from backend.errors import SpeechError
from backend.speech.engine import DEFAULT_TIMEOUT_S, MAX_DURATION_S, SAMPLE_WIDTH, Spoken
from backend.speech.profiles import VoiceProfile, resolve_profile
from backend.speech.text import clean
from backend.storage import MAX_RATE_HZ, MIN_RATE_HZ

V = TypeVar("V")


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
