"""The signal of the retention plugin: the files of a session were removed."""

from dataclasses import dataclass

from backend.signals import EVENT_LOOP, define


@dataclass(frozen=True, slots=True)
class FilesRemoved:
    """Payload of `files_removed`: one session was removed from one tree."""

    session_id: str
    tree: str
    """`tts`, `waves`, or `stt`; there, `session_id` is the id of the recording."""
    size: int
    """Bytes."""
    why: str
    """`age`, `number`, `size`, `waves` of speech that was removed because its waves were, `speech`
    of a recording that was removed because its speech was."""


files_removed = define(
    "files_removed",
    FilesRemoved,
    "The files of a session have been removed from one tree.",
    sender="plugin retention",
    thread=EVENT_LOOP,
)
sends = (files_removed,)
