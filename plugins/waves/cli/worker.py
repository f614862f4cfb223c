"""`reflective-resonance waves worker`: make waves for a server on another machine."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.terminal import messages
from plugins.waves.cli.progress import Workers, check_address, load

if TYPE_CHECKING:
    from plugins.waves.pool import Pool


def worker(
    url: Annotated[str, typer.Argument(help="The NATS server: nats://host:4222, or tls://.")],
    workers: Workers = None,
) -> None:
    """Make waves for the servers and commands that use the farm at a NATS server.

    Runs until it is stopped; what it has not done by then another machine does. It says when it is
    connected and when no longer; with RR_LOG_LEVEL=info also each job. A user, password,
    nkey or certificate authority is read from the settings RR_WAVES_FARM_*.

    Exit code: 0 after SIGTERM, 2 on wrong usage, 130 on Ctrl-C.
    """
    from plugins.waves.farm import Machine
    from plugins.waves.plugin import create_pool

    check_address(url)
    settings = load(url)
    settings = settings.model_copy(update={"max_workers": workers or settings.max_workers})

    def pool(temporary: Path) -> "Pool":
        alone = settings.model_copy(update={"farm": ""})
        return create_pool(alone, temporary, lambda *_: None, low_priority=False)

    def show(line: str) -> None:
        messages().print(line, soft_wrap=True, markup=False)

    async def run() -> None:
        machine = Machine(settings, pool, show)
        with suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, machine.stop)
        await machine.run()

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts `worker &`
        signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(run())
