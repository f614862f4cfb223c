"""Decodes a recording of a known container to PCM, in a child process of its own.

Recordings come from strangers, and decoders are written in C. A file that takes over its process
finds there no other visitor's recording and lives for `TIMEOUT_S` at most: each child decodes one
file. Starting one costs 0.1 s of a core, so the next is started ahead. Rejected: a child for many
files, which saves that and lets one file change what is understood of the next.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from backend.children import (
    ChildDiedError,
    ChildError,
    ChildPool,
    ChildTimeoutError,
    child_command,
)
from backend.errors import HearingError, NotAudioError
from backend.hearing.engine import MAX_DURATION_S, SAMPLE_RATE

log = structlog.get_logger(__name__)

COMMAND: Final = child_command(Path(__file__).with_name("child.py"))
TIMEOUT_S: Final = 5.0
MAX_REQUESTS: Final = 2
CONTAINERS: Final = "webm, mp4, m4a, ogg, wav, mp3 or flac"
_NOT_AUDIO: Final = f"This is no recording that can be read. Send {CONTAINERS}."
_BYTES_PER_S: Final = 2 * SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Decoded:
    """A recording as engines take it: mono, 16-bit little-endian, `SAMPLE_RATE`."""

    pcm: bytes
    """Ends soon after `MAX_DURATION_S`."""
    mime_type: str
    """Of the container that was found, such as "audio/webm"."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / _BYTES_PER_S


class Decoder:
    """Decodes recordings; any thread may use it, and `MAX_REQUESTS` at once are decoded."""

    def __init__(self, command: tuple[str, ...] = COMMAND, *, timeout_s: float = TIMEOUT_S) -> None:
        self._children = ChildPool(
            "the decoder",
            command,
            timeout_s=timeout_s,
            max_requests=MAX_REQUESTS,
            reuse=False,
            n_spare=1,
        )

    def warm_up(self) -> None:
        """Start the child that the first recording needs."""
        self._children.start_spare()

    def decode(self, data: bytes) -> Decoded:
        """Return the first audio stream of `data`, a file of any known container.

        Raises
        ------
        NotAudioError
            If there is none, or it made the child fail.
        HearingError
            If no child could be asked.
        """
        request = {"sample_rate": SAMPLE_RATE, "max_bytes": int(MAX_DURATION_S + 1) * _BYTES_PER_S}
        try:
            header, pcm = self._children.ask(request, data)
        except (ChildDiedError, ChildTimeoutError) as error:
            log.warning("a recording made the decoder fail", reason=str(error), bytes=len(data))
            raise NotAudioError(_NOT_AUDIO) from error
        except ChildError as error:
            raise HearingError(str(error)) from error
        mime_type = header.get("mime_type")
        if not isinstance(mime_type, str) or len(pcm) % 2:
            log.info("recording not decoded", reason=str(header.get("refused")), bytes=len(data))
            raise NotAudioError(_NOT_AUDIO)
        return Decoded(pcm, mime_type)

    def close(self) -> None:
        """Kill the children; what is under way fails."""
        self._children.close()
