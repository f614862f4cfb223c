"""What the retention plugin tells: a session's files are gone."""

from dataclasses import dataclass

from backend.signals import EVENT_LOOP, define


@dataclass(frozen=True, slots=True)
class FilesRemoved:
    """Payload of `files_removed`: one session is gone from one tree."""

    session_id: str
    tree: str
    """`tts` or `waves`."""
    size: int
    """Bytes."""
    why: str
    """`age`, `number`, `size`, or `waves` for speech that went because its waves did."""


files_removed = define(
    "files_removed",
    FilesRemoved,
    "The files of a session have been removed from one tree.",
    sender="plugin retention",
    thread=EVENT_LOOP,
)
sends = (files_removed,)
