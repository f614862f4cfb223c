"""When plugins are as they are all day: a benchmark that starts earlier measures their start."""

import asyncio

from backend.plugins import Gauge, PluginStatuses
from plugins.waves.settings import WavesSettings

STEP_S = 0.05


async def all_ready(board: PluginStatuses) -> None:
    """Wait until no plugin is warming and every worker of the waves is ready, not just one."""
    workers = WavesSettings().max_workers
    # A plugin reports its state to nobody else, and of workers a number.
    while not (  # noqa: ASYNC110 - a benchmark may poll
        all(status.state != "warming" for _, status in board)
        and all(gauge.read() >= workers for gauge in board.gauges if _counts_workers(gauge))
    ):
        await asyncio.sleep(STEP_S)


def _counts_workers(gauge: Gauge) -> bool:
    return (gauge.plugin, gauge.name) == ("waves", "workers")
