"""Carry out a plan: session by session, speech first, each by one rename.

Speech goes first because the waves plugin would make waves anew for speech without them. If the
speech of a session cannot go, its waves stay too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from backend.storage import Leases
from plugins.retention.policy import Removal
from plugins.retention.trash import Trash

IN_USE = "in use"


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of one removal; with a problem it is still where it was."""

    removal: Removal
    problem: str = ""


def carry_out(removals: Iterable[Removal], trash: Trash, leases: Leases) -> Iterator[list[Removed]]:
    """Remove session by session; yield what became of each, once its files are unlinked."""
    for session_id, group in groupby(removals, key=lambda removal: removal.session_id):
        problem, done = "", []
        with leases.removing(session_id) as free:
            for removal in group:  # speech before waves
                problem = problem or (_take(removal, trash) if free else IN_USE)
                done.append(Removed(removal, problem))
        trash.sweep(session_id)
        yield done


def _take(removal: Removal, trash: Trash) -> str:
    try:
        trash.take(removal.tree, removal.session_id)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ""
