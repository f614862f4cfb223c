"""Whisper in a child process.

In this process it would not be safe: what decodes and computes is C++ that can end it.
"""

from pathlib import Path
from typing import Final

from backend.children import child_command
from backend.hearing.children import ChildEngine

COMMAND: Final = child_command(Path(__file__).with_name("child.py"))


class WhisperEngine(ChildEngine):
    """Transcribes with the model in a folder, offline; see `HearingEngine`."""

    name = "whisper"
    label = "whisper"
    languages = None

    def __init__(
        self, model: Path, *, timeout_s: float, command: tuple[str, ...] = COMMAND
    ) -> None:
        super().__init__(
            f"the model in {model}",
            command=(*command, str(model.resolve())),
            timeout_s=timeout_s,
            advice="raise RR_STT_TIMEOUT_S, or choose a smaller model",
        )
