"""Piper: a neural voice on this machine, in child processes that keep its model loaded.

In this process it would not be safe: espeak-ng, which makes its phonemes, ends the process on some
texts; and the server need not hold a model of some hundred megabytes.
"""

from pathlib import Path

from backend.children import child_command
from backend.errors import SpeechError
from backend.speech.children import ChildEngine
from backend.speech.voices import Voice

CHILD_COMMAND = child_command(Path(__file__).with_name("child.py"))


class PiperEngine(ChildEngine[Voice]):
    """Speaks with Piper, offline."""

    name = "piper"
    label = "piper"
    child_command = CHILD_COMMAND
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
