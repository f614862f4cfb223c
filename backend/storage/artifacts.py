"""The directories below the artifacts root, and which files may be served.

    <root>/tts/sessions/     speech, announced by `slot.audio`; see `names` for what is below
    <root>/waves/sessions/   waves, announced by `waves_written`
    <root>/stt/sessions/     recordings of visitors, only if `RR_STT_KEEP` is set
    <root>/.tmp/             files being written
    <root>/.trash/           sessions being removed

A path that is announced is complete, closed and never changes. A symbolic link below the root is
followed by nobody: what is written or served is there itself. `.tmp` is beside the served trees,
on the same file system: only there is a move atomic.
"""

import os
from itertools import takewhile
from pathlib import Path
from typing import Literal

from backend.errors import ArtifactError
from backend.storage.atomic import make_directory
from backend.storage.names import (
    is_plain_name,
    is_served_name,
    new_session_id,
    plain_name,
    turn_name,
)

Tree = Literal["tts", "waves", "stt"]
SERVED_TREES: tuple[Tree, Tree, Tree] = ("tts", "waves", "stt")
TEMPORARY_DIRECTORY = ".tmp"


class Artifacts:
    """The directories and files of one artifacts root."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow a link that may change

    def __repr__(self) -> str:
        return f"Artifacts({str(self.root)!r})"

    @property
    def temporary(self) -> Path:
        """The directory of files that are being written; made on first use."""
        path = self.root / TEMPORARY_DIRECTORY
        make_directory(path)
        return path

    def sessions(self, tree: str) -> Path:
        """Return the directory of all sessions of `tree` (`tts`, `waves` or `stt`)."""
        return self.root / tree / "sessions"

    def session_entries(self, tree: str) -> list[os.DirEntry[str]]:
        """Return the directories of all sessions of `tree`, in no order; a link is not one."""
        try:
            with os.scandir(self.sessions(tree)) as entries:
                return [
                    entry
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False) and is_plain_name(entry.name)
                ]
        except OSError:
            return []

    def session_ids(self, tree: str) -> list[str]:
        """Return the ids of all sessions of `tree`, newest first; those ahead of now come last."""
        now = new_session_id().replace("-", "~")  # after those of this second
        names = (entry.name for entry in self.session_entries(tree))
        return sorted(names, key=lambda name: (name < now, name), reverse=True)

    def session(self, tree: str, session_id: str) -> Path:
        """Return the directory of one session, which need not exist."""
        return self.sessions(tree) / plain_name(session_id)

    def turn(self, tree: str, session_id: str, turn_index: int) -> Path:
        """Return the directory of one turn, which need not exist."""
        return self.session(tree, session_id) / turn_name(turn_index)

    def relative(self, path: Path) -> str:
        """Return `path` as events and URLs name it: relative to the root, with forward slashes.

        Raises
        ------
        ArtifactError
            If `path` is not below the root.
        """
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError as error:
            raise ArtifactError(f"{path} is not below the artifacts root {self.root}") from error

    def link_in(self, path: Path) -> Path | None:
        """Return a symbolic link that is a part of `path` below the root; None without one."""
        parts = takewhile(lambda part: part != self.root, (path, *path.parents))
        return next(filter(Path.is_symlink, parts), None)

    def served(self, requested: str) -> Path:
        """Return the file that a request for `requested` may read.

        Only `.wav` files below `tts/` and `waves/` are served, and recordings below `stt/`. Each
        part of the path must be a plain name, and no part may be a symbolic link.

        Raises
        ------
        ArtifactError
            If there is no such file; the message is for the log only.
        """
        parts = requested.split("/")
        if len(parts) < 2 or not is_served_name(parts[0], parts[-1]):
            raise ArtifactError("not a .wav file below tts/ or waves/, nor a recording below stt/")
        if not all(map(is_plain_name, parts)):
            raise ArtifactError("a part of the path is not a plain name")
        path = self.root.joinpath(*parts)
        if self.link_in(path):
            raise ArtifactError("a part of the path is a symbolic link")
        if not path.is_file():
            raise ArtifactError("no such file")
        return path
