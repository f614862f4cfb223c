"""What both commands share: an option, and the results of a pool with a progress bar."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from backend.errors import UsageError
from backend.services import NATS_URL
from backend.terminal import messages, output

if TYPE_CHECKING:
    from plugins.waves.pool import OnState, Pool, Work
    from plugins.waves.settings import WavesSettings

CHECK_S = 0.2
GIVE_UP_AFTER_STARTS = 3

Result = TypeVar("Result")
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=16, help="Number of files done at the same time."),
]


Farm = Annotated[
    str | None,
    typer.Option("--farm", metavar="URL", help="Make them on other machines: nats://host:4222."),
]


def check_address(url: str) -> None:
    """Raise UsageError, without the address, which may hold a password, if it is none."""
    if not re.match(NATS_URL, url) or url.endswith("\n"):
        raise UsageError(
            "write nats://host:4222 or tls://host:4222; a user and password belong in settings"
        )


def load(farm: str | None) -> "WavesSettings":
    """Return the settings, with the farm that was named, or raise UsageError."""
    from plugins.waves.settings import WavesSettings

    if farm:
        check_address(farm)
    return WavesSettings.load(**({} if farm is None else {"farm": farm}))


def show_machines(farm: str, made: "Iterable[str]", started: float) -> None:
    """Print, if there is a farm, how many files each machine made, and how many a second."""
    for name, count in Counter(made).most_common() if farm else ():
        rate = count / (monotonic() - started)
        output().out(
            f"{name or 'this machine'}: {count} file{'s' * (count > 1)}, {rate:.1f} a second"
        )


def of_size(settings: "WavesSettings", count: int, workers: int | None) -> "WavesSettings":
    """Return the settings of a pool for `count` files: no more workers, and room for all."""
    lanes = min(workers or settings.max_workers, count)
    return settings.model_copy(update={"max_workers": lanes, "queue_max_size": count})


def results(
    create_pool: "Callable[[OnState], Pool]",
    jobs: "Iterable[Work]",
    count: int,
    ended: "SimpleQueue[Result]",
) -> Iterator[Result]:
    """Yield what each of `count` jobs puts into `ended`, with a progress bar on standard error.

    The bar's own console also shows why no job begins: another would write into the line of the
    bar. The pool is stopped if no worker can be started.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("decomposing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=messages(),
    )

    def show_state(state: str, reason: str) -> None:
        if state != "ok":
            bar.console.print(reason, style="dim", markup=False)

    pool = create_pool(show_state)
    try:
        with bar:
            task = bar.add_task("files", total=count)
            pool.start()
            for job in jobs:
                pool.submit(job)
            while not bar.finished:
                try:
                    result = ended.get(timeout=CHECK_S)
                except Empty:
                    if pool.failed_starts >= GIVE_UP_AFTER_STARTS:
                        pool.stop(0)
                else:
                    yield result
                    bar.advance(task)
    finally:
        pool.stop(0)
