"""Artifacts roots with sessions of a certain size and age."""

import os
import time
from pathlib import Path

from backend.storage import Artifacts, Tree

TREES: tuple[Tree, Tree] = ("tts", "waves")
"""Those of a session that was typed; spoken ones have `stt` too."""


def store(
    artifacts: Artifacts, session_id: str, *trees: Tree, size: int = 1000, age_s: float = 0
) -> list[Path]:
    """Write a session of `size` bytes to each tree; return its directories."""
    directories = []
    for tree in trees or TREES:
        directory = artifacts.sessions(tree) / session_id
        for path, share in (
            (directory / "turn_1" / "slot-1.wav", size - size // 2),
            (directory / "session.json", size // 2),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * share)
            age(path, age_s)
        directories.append(directory)
    return directories


def age(path: Path, age_s: float) -> None:
    """Let `path` be changed last `age_s` seconds ago."""
    moment = time.time() - age_s
    os.utime(path, (moment, moment))


def stored(artifacts: Artifacts) -> dict[str, list[str]]:
    """Return the names of what stands in each tree, and in the trash."""
    places: dict[str, Path] = {tree: artifacts.sessions(tree) for tree in TREES}
    places["trash"] = artifacts.root / ".trash"
    return {
        name: sorted(path.name for path in place.iterdir()) if place.is_dir() else []
        for name, place in places.items()
    }
