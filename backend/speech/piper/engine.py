"""Piper: a neural voice on this machine, in child processes that keep its model loaded.

In this process it would not be safe: espeak-ng, which makes its phonemes, ends the process on some
texts; and the server need not hold a model of some hundred megabytes.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from backend.errors import SpeechError
from backend.speech.children import ChildEngine
from backend.speech.engine import DEFAULT_TIMEOUT_S
from backend.speech.profiles import VoiceProfile
from backend.speech.voices import Voice

CHILD_COMMAND = (sys.executable, "-I", str(Path(__file__).with_name("child.py")))


def is_installed() -> bool:
    """Return whether the optional extra `piper` is there, without importing it."""
    return find_spec("piper") is not None


class PiperEngine(ChildEngine):
    """Speaks with Piper, offline; `voices` has the model and the speaker of each profile."""

    name = "piper"
    label = "piper"
    reuses_children = True

    def __init__(
        self,
        voices: Mapping[VoiceProfile, Voice],
        *,
        temporary: Path,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_requests: int = 2,
        command: Sequence[str] = CHILD_COMMAND,
    ) -> None:
        super().__init__(
            temporary=temporary,
            timeout_s=timeout_s,
            max_requests=max_requests,
            command=command,
            folder=Path.cwd(),
        )
        self._voices = voices

    def request(self, profile: VoiceProfile) -> dict[str, object]:
        """Return the voice's model and speed; see `ChildEngine`."""
        voice = self._voices[profile]
        return {
            "model": str(Path(voice.model).resolve()),
            "speaker": voice.voice,
            "length_scale": 1 / voice.speed,
        }

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
