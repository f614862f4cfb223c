"""A plugin that publishes, run alone, and how it says that it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from backend.plugins import Host, PluginSettings
from backend.plugins.status import PluginStatuses
from backend.storage import Artifacts
from tests.patience import until

S = TypeVar("S", bound=PluginSettings)


@asynccontextmanager
async def running(
    name: str,
    lifespan: Callable[[Host, S], AbstractAsyncContextManager[object]],
    settings: S,
    root: Path,
) -> AsyncIterator[PluginStatuses]:
    """Run a plugin; yield what it says."""
    board = PluginStatuses()
    host = Host(Artifacts(root), lambda *told: board.set(name, *told), name, board=board)
    async with lifespan(host, settings):
        yield board


async def becomes(board: PluginStatuses, state: str, words: str = "") -> None:
    """Wait until a plugin is in a state, for a reason with these words."""

    def is_so() -> bool:
        return any(one.state == state and words in one.reason for _, one in board)

    await asyncio.to_thread(until, is_so, f"{state}: {words}")
