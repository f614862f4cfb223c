"""The directories below the artifacts root, and which files may be served.

    <root>/tts/sessions/<session_id>/turn_<N>/*.wav     speech, announced by `slot.audio`
    <root>/waves/sessions/<session_id>/turn_<N>/*.wav   waves, announced by `waves_written`
    <root>/.tmp/                                        files being written
    <root>/.trash/                                      sessions being removed

A path that is announced is complete, closed and never changes. `.tmp` is beside the served trees,
on the same file system: only there is a move atomic.
"""

import os
import re
from pathlib import Path

from backend.errors import ArtifactError

SERVED_TREES = ("tts", "waves")
SERVED_SUFFIX = ".wav"
TEMPORARY_DIRECTORY = ".tmp"
_SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")


class Artifacts:
    """Everything below one artifacts root."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow a link that may change

    def __repr__(self) -> str:
        return f"Artifacts({str(self.root)!r})"

    @property
    def temporary(self) -> Path:
        """Where files stand while they are being written; made on first use."""
        path = self.root / TEMPORARY_DIRECTORY
        path.mkdir(parents=True, exist_ok=True)
        return path

    def sessions(self, tree: str) -> Path:
        """Return the directory of all sessions of `tree` (`tts` or `waves`)."""
        return self.root / tree / "sessions"

    def turn(self, tree: str, session_id: str, turn_index: int) -> Path:
        """Return the directory of one turn, which need not exist."""
        return self.sessions(tree) / safe_part(session_id) / f"turn_{turn_index}"

    def relative(self, path: Path) -> str:
        """Return `path` as the events and URLs name it: below the root, with forward slashes.

        Raises
        ------
        ArtifactError
            If `path` is not below the root.
        """
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError as error:
            raise ArtifactError(f"{path} is not below the artifacts root {self.root}") from error

    def served(self, requested: str) -> Path:
        """Return the file that a request for `requested` may read.

        Only finished `.wav` files below `tts/` and `waves/` are served. Each part of the path must
        be a plain name, and no part may be a symbolic link.

        Raises
        ------
        ArtifactError
            If nothing may be served under that name; the message is for the log only.
        """
        parts = requested.split("/")
        if len(parts) < 2 or parts[0] not in SERVED_TREES or not parts[-1].endswith(SERVED_SUFFIX):
            raise ArtifactError("not a .wav file below tts/ or waves/")
        if not all(_SAFE_PART.fullmatch(part) for part in parts):
            raise ArtifactError("a part of the path is not a plain name")
        path = self.root
        for part in parts:
            path = path / part
            if path.is_symlink():
                raise ArtifactError("a part of the path is a symbolic link")
        if not path.is_file():
            raise ArtifactError("no such file")
        return path


def safe_part(name: str) -> str:
    """Return `name` if it can stand as one part of a path on every platform.

    Raises
    ------
    ArtifactError
        If it is empty, too long, starts with a dot or holds anything but letters, digits, `._-`.
    """
    if not _SAFE_PART.fullmatch(name):
        raise ArtifactError(
            f"{name[:80]!r} cannot be part of a path: use letters, digits, '.', '_' and '-'"
        )
    return name
