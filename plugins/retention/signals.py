"""The signal of the retention plugin: the files of a session were removed."""

from dataclasses import dataclass

from backend.signals import EVENT_LOOP, define


@dataclass(frozen=True, slots=True)
class FilesRemoved:
    """Payload of `files_removed`: one session was removed from one tree."""

    session_id: str
    tree: str
    """`tts` or `waves`."""
    size: int
    """Bytes."""
    why: str
    """`age`, `number`, `size`, or `waves` for speech that was removed because its waves were."""


files_removed = define(
    "files_removed",
    FilesRemoved,
    "The files of a session have been removed from one tree.",
    sender="plugin retention",
    thread=EVENT_LOOP,
)
sends = (files_removed,)
