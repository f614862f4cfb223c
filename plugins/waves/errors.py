"""The errors of the waves plugin.

    ReflectiveResonanceError
    └── WavesError
        ├── AudioError      the input is refused; `reason` says why in one word
        ├── KernelError     compiled code cannot be had, or must not be run; librosa does the work
        ├── ProfileError    there is no such profile, or what it makes are no waves
        ├── PitchError      samples or parameters that no pitch can be tracked with; a ValueError
        ├── FarmError       what came from another machine is refused
        └── PublishError    the output could not be written whole; nothing of it is left

None of them crosses a process border: the child side turns them into plain data.
"""

import errno
import os
from typing import Literal

from backend.errors import ReflectiveResonanceError

AudioReason = Literal[
    "missing",
    "not_a_file",
    "outside",
    "unreadable",
    "empty",
    "not_wave",
    "unsupported_format",
    "truncated",
    "changed",
    "too_large",
    "too_long",
    "not_finite",
    "out_of_range",
]
"""Why an input is refused, for programs; the message says it for people, with the value."""


_SHOWN_CHARACTERS = 200


class WavesError(ReflectiveResonanceError):
    """Base of every error the waves plugin raises on purpose."""


class AudioError(WavesError):
    """An input is refused; nothing is wrong with the program."""

    def __init__(self, reason: AudioReason, message: str) -> None:
        """Keep the one-word `reason` beside the message."""
        super().__init__(message)
        self.reason: AudioReason = reason


class ProfileError(WavesError):
    """There is no such profile, or what it made are no waves."""


class PublishError(WavesError):
    """The three files of an utterance could not be published; none of them stands in its place."""


class FarmError(WavesError):
    """A message from another machine is not what it has to be."""


class KernelError(WavesError):
    """Kernels cannot be built, loaded or trusted; the message says what to do."""


class PitchError(WavesError, ValueError):
    """The samples or parameters cannot be tracked; the message says which and what to do."""


def describe(error: OSError) -> str:
    """Return `error` as a log line needs it: the errno's name and the system's words for it."""
    name = errno.errorcode.get(error.errno or 0, "unknown errno")
    return f"{name}: {error.strerror or error}"


def shown(path: str | os.PathLike[str]) -> str:
    """Return `path` for a message: on one line, quoted, and never thousands of characters."""
    text = repr(os.fspath(path))
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}... ({len(text) - 2} characters)"
