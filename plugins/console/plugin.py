"""The console plugin: serves the two pages and what only they ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from backend.plugins import Host
from plugins.console.archive import Archive
from plugins.console.assets import Assets, load_assets
from plugins.console.settings import ConsoleSettings


@dataclass(frozen=True, slots=True)
class Console:
    """The service of the plugin, which its routes get."""

    host: Host
    settings: ConsoleSettings
    assets: Assets
    archive: Archive


@asynccontextmanager
async def lifespan(host: Host, settings: ConsoleSettings) -> AsyncIterator[Console]:
    """Serve the pages while the host runs."""
    yield Console(host, settings, load_assets(), Archive(host.artifacts))
