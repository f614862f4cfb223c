"""What the commands of the waves share: a progress bar, the outcomes as they come, bad usage."""

from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from plugins.waves.pool import Pool

FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130
CHECK_S = 0.2
GIVE_UP_AFTER_STARTS = 3

Outcome = TypeVar("Outcome")


def bar() -> "Progress":
    """Return a progress bar with the time that is left, on standard error."""
    from rich.console import Console
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
        console=Console(stderr=True),
    )


def outcomes(pool: "Pool", ended: "SimpleQueue[Outcome]", count: int) -> Iterator[Outcome]:
    """Yield `count` outcomes as they come; end the pool if no worker can be started."""
    while count:
        try:
            yield ended.get(timeout=CHECK_S)
            count -= 1
        except Empty:
            if pool.failed_starts >= GIVE_UP_AFTER_STARTS:
                pool.stop(0)


def bad_usage(message: str) -> typer.Exit:
    """Say what is wrong; return what ends the command."""
    typer.echo(message, err=True)
    return typer.Exit(BAD_USAGE)
