"""What commands, also those of plugins, print with."""

from backend.terminal.options import ArtifactsArgument, AsJson, DryRun
from backend.terminal.printing import (
    duration,
    messages,
    output,
    show_json,
    show_paragraph,
    show_table,
)
from backend.terminal.streams import discard_output, prepare_streams

__all__ = [
    "ArtifactsArgument",
    "AsJson",
    "DryRun",
    "discard_output",
    "duration",
    "messages",
    "output",
    "prepare_streams",
    "show_json",
    "show_paragraph",
    "show_table",
]
