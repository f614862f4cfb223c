"""Where what goes is moved before it is unlinked.

    <root>/tts/sessions/<id>     -- one rename -->  <root>/.trash/tts-<id>-<token>  --> unlinked
    <root>/waves/sessions/<id>   -- one rename -->  <root>/.trash/waves-<id>-<token>

After the rename nobody finds the session any more, half of it never; who has opened one of its
files reads on to its end. The trash stands beside the served trees, on the same file system, since
only there is a rename one step. What a kill leaves in it goes at the next sweep. Windows refuses to
rename a directory in which a file is open: the session stays as it is and is tried again later.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from backend.storage import Artifacts
from plugins.retention.policy import Tree

TRASH_DIRECTORY = ".trash"


class Trash:
    """The trash of one artifacts root."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._directory = artifacts.root / TRASH_DIRECTORY

    def take(self, tree: Tree, session_id: str) -> None:
        """Move a session out of its tree; one that is not there is no error.

        Raises
        ------
        OSError
            If it stays where it is: a file of it is open (Windows), the trash cannot be made.
        """
        if self._directory.is_symlink():
            raise OSError(f"{self._directory} is a symbolic link: remove it")
        self._directory.mkdir(exist_ok=True)
        source = self._artifacts.session(tree, session_id)
        target = self._directory / f"{tree}-{session_id}-{os.urandom(6).hex()}"
        try:
            source.rename(target)
        except FileNotFoundError:
            if os.path.lexists(source):
                raise

    def sweep(self, session_id: str = "") -> int:
        """Unlink what is in the trash, of all or of one session; return how much is left of it."""
        return sum(not _unlinked(path) for path in self._listed() if session_id in path.name)

    def _listed(self) -> list[Path]:
        """Return what is in the trash; nothing if that is not a directory, as for a link."""
        try:
            return [] if self._directory.is_symlink() else list(self._directory.iterdir())
        except OSError:
            return []


def _unlinked(path: Path) -> bool:
    """Unlink a file, a link or a directory, following no link; tell whether it is gone."""
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
    return not os.path.lexists(path)
