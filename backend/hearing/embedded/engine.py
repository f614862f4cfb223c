"""Moonshine's English model in a child process.

In this process it would not be safe: two threads in one transcriber get garbage, and the server
need not hold a model of 180 MB.
"""

from pathlib import Path
from typing import Final

from backend.children import child_command
from backend.hearing.children import ChildEngine

COMMAND: Final = child_command(Path(__file__).with_name("child.py"))


class EmbeddedEngine(ChildEngine):
    """Transcribes English with moonshine, offline and without a key; see `HearingEngine`."""

    name = "embedded"
    label = "the embedded hearing"
    languages = frozenset({"en"})

    def __init__(self, *, timeout_s: float, command: tuple[str, ...] = COMMAND) -> None:
        advice = "raise RR_STT_TIMEOUT_S if this machine is slow"
        model = "moonshine tiny, English"
        super().__init__(model, command=command, timeout_s=timeout_s, advice=advice)
