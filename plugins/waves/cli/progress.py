"""What both commands share: an option, a progress bar, and the outcomes of the pool."""

from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from backend.terminal import messages

if TYPE_CHECKING:
    from rich.progress import Progress

    from plugins.waves.pool import Pool

CHECK_S = 0.2
GIVE_UP_AFTER_STARTS = 3

Outcome = TypeVar("Outcome")
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=16, help="Number of files done at the same time."),
]


def bar() -> "Progress":
    """Return a progress bar with the time that is left, on standard error."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("decomposing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=messages(),
    )


def show_state(state: str, reason: str) -> None:
    """Show on standard error why no job begins."""
    if state != "ok":
        messages().print(reason, style="dim", markup=False)


def outcomes(pool: "Pool", ended: "SimpleQueue[Outcome]", count: int) -> Iterator[Outcome]:
    """Yield `count` outcomes as they come; end the pool if no worker can be started."""
    while count:
        try:
            yield ended.get(timeout=CHECK_S)
            count -= 1
        except Empty:
            if pool.failed_starts >= GIVE_UP_AFTER_STARTS:
                pool.stop(0)
