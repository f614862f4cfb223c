"""The metrics plugin: signals are counted as they come, the rest is read when somebody asks.

session_*, tts_written, waves_* --> Recorder --+
                                               +--> registry --> exposition() --> GET /metrics
board, gauges, disk ----------> HostCollector -+

The registry is this start's own, not the library's global one, whose figures would outlive a stop
and mix with those of other programs in the process.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from backend.plugins import Host
from plugins.metrics.disk import DiskUsage
from plugins.metrics.host import HostCollector
from plugins.metrics.recorder import Recorder
from plugins.metrics.settings import MetricsSettings


class Metrics(Collector):
    """The plugin's service: every figure, as Prometheus reads it."""

    def __init__(self, registry: CollectorRegistry, disk: DiskUsage) -> None:
        self._registry = registry
        self.disk = disk

    async def exposition(self) -> bytes:
        """Return the figures as they are now, in Prometheus's text format."""
        await self.disk.refresh()
        return await asyncio.to_thread(generate_latest, self)

    def collect(self) -> Iterator[Metric]:
        """Yield the figures without their `_created` series, which say when the plugin started."""
        for family in self._registry.collect():
            family.samples = [
                sample for sample in family.samples if not sample.name.endswith("_created")
            ]
            yield family


@asynccontextmanager
async def lifespan(host: Host, _: MetricsSettings) -> AsyncIterator[Metrics]:
    """Count from the start to the stop of the host."""
    registry = CollectorRegistry()
    recorder = Recorder(registry)
    disk = DiskUsage(host.artifacts)
    registry.register(HostCollector(host.board, disk))
    try:
        with recorder.listening():
            yield Metrics(registry, disk)
    finally:
        await disk.aclose()
