"""The directory that a session is moved to before its files are deleted.

    <root>/tts/sessions/<id>     -- one rename -->  <root>/.trash/tts-<id>-<token>  --> deleted
    <root>/waves/sessions/<id>   -- one rename -->  <root>/.trash/waves-<id>-<token>
    <root>/stt/sessions/<id>     -- one rename -->  <root>/.trash/stt-<id>-<token>

So a session is there whole or not at all, and a file that is open can be read to its end. The trash
is on the file system of the served trees: only there is a rename atomic. What is left of it after a
kill is deleted by the next sweep. Windows refuses to rename a directory with an open file.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from backend.storage import Artifacts, Tree, make_directory

TRASH_DIRECTORY = ".trash"


class Trash:
    """The trash of one artifacts root."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._directory = artifacts.root / TRASH_DIRECTORY

    def take(self, tree: Tree, session_id: str) -> None:
        """Move a session out of its tree; one that is not there is no error.

        Raises OSError if it cannot be moved: a file of it is open (Windows), or there can
        be no trash.
        """
        if self._directory.is_symlink():
            raise OSError(f"{self._directory} is a symbolic link: remove it")
        make_directory(self._directory)
        source = self._artifacts.session(tree, session_id)
        target = self._directory / f"{tree}-{session_id}-{os.urandom(6).hex()}"
        try:
            source.rename(target)
        except FileNotFoundError:
            if os.path.lexists(source):
                raise

    def sweep(self, session_id: str = "") -> int:
        """Delete what is in the trash, of all or of one session; return how many are left."""
        return sum(not _deleted(path) for path in self._listed() if session_id in path.name)

    def _listed(self) -> list[Path]:
        """Return what is in the trash; nothing if that is no directory, or a link."""
        try:
            return [] if self._directory.is_symlink() else list(self._directory.iterdir())
        except OSError:
            return []


def _deleted(path: Path) -> bool:
    """Delete a file, a link or a directory, following no link; tell whether it is gone."""
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
    return not os.path.lexists(path)
