"""Remove the sessions of a plan, speech first: from speech without waves, waves are made again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from backend.storage import Leases
from plugins.retention.policy import Removal
from plugins.retention.trash import Trash

IN_USE = "in use"


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """The result of one removal; with a problem, nothing was removed."""

    removal: Removal
    problem: str = ""


def carry_out(
    removals: Iterable[Removal], trash: Trash, leases: Leases
) -> Iterator[list[RemovalResult]]:
    """Remove session by session, waves only if the speech is gone; yield the results of each."""
    for session_id, group in groupby(removals, key=lambda removal: removal.session_id):
        problem, done = "", []
        with leases.removing(session_id) as free:
            for removal in group:  # speech before waves
                problem = problem or (_take(removal, trash) if free else IN_USE)
                done.append(RemovalResult(removal, problem))
        trash.sweep(session_id)
        yield done


def _take(removal: Removal, trash: Trash) -> str:
    try:
        trash.take(removal.tree, removal.session_id)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ""
