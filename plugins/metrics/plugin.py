"""The metrics plugin: counts signals as they are sent, and reads the rest on request.

session_*, tts_written, waves_* --> Recorder --+
                                               +--> registry --> exposition() --> GET /metrics
board, gauges, disk ----------> HostCollector -+

Each start has a registry of its own: figures in the library's global one would survive a stop.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from backend.plugins import Host
from plugins.metrics.disk import DiskUsage
from plugins.metrics.host import HostCollector
from plugins.metrics.recorder import Recorder
from plugins.metrics.settings import MetricsSettings


class Metrics:
    """The plugin's service: all figures, as Prometheus reads them."""

    def __init__(self, registry: CollectorRegistry, disk: DiskUsage) -> None:
        self._registry = registry
        self.disk = disk

    async def exposition(self) -> bytes:
        """Return the current figures in Prometheus' text format."""
        await self.disk.refresh()
        return await asyncio.to_thread(generate_latest, self._registry)


@asynccontextmanager
async def lifespan(host: Host, _: MetricsSettings) -> AsyncIterator[Metrics]:
    """Count while the server runs."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # each series: the start of the plugin
    registry = CollectorRegistry()
    recorder = Recorder(registry)
    disk = DiskUsage(host.artifacts)
    registry.register(HostCollector(host.board, disk))
    try:
        with recorder.listening():
            yield Metrics(registry, disk)
    finally:
        await disk.aclose()
