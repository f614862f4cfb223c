"""The metrics plugin: counts signals as they are sent, and reads the rest on request.

session_*, tts_written, waves_* --> Recorder --+
                                               +--> registry --> exposition() --> GET /metrics
board, gauges, memory, disk --> HostCollector -+
                                               +--> now, hour --> figures() --> GET /v1/figures
event_published, waves_* ---------> History ---+

Each start has a registry of its own: figures in the library's global one would survive a stop.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from backend.plugins import Host
from plugins.metrics.disk import DiskUsage
from plugins.metrics.history import History
from plugins.metrics.host import HostCollector
from plugins.metrics.memory import resident_bytes
from plugins.metrics.recorder import Recorder
from plugins.metrics.settings import MetricsSettings


class Metrics:
    """The plugin's service: all figures, as Prometheus and as a page reads them."""

    def __init__(
        self,
        host: Host,
        registry: CollectorRegistry,
        disk: DiskUsage,
        collector: HostCollector,
        history: History,
    ) -> None:
        self._artifacts = host.artifacts
        self._registry = registry
        self._collector = collector
        self._history = history
        self.disk = disk

    async def exposition(self) -> bytes:
        """Return the current figures in Prometheus' text format."""
        await self.disk.refresh()
        return await asyncio.to_thread(generate_latest, self._registry)

    async def figures(self) -> dict[str, Any]:
        """Return the present figures, and those of the last hour."""
        await self.disk.refresh()
        space = await asyncio.to_thread(lambda: shutil.disk_usage(self._artifacts.temporary))
        memory = await asyncio.to_thread(resident_bytes)
        usage = self.disk.usage
        return {
            "now": {
                "gauges": self._collector.gauges(),
                "disk": {
                    "free_bytes": space.free,
                    "total_bytes": space.total,
                    "used_bytes": usage.bytes if usage else {},
                    "used_files": usage.files if usage else {},
                    "age_s": monotonic() - usage.started if usage else None,
                },
                "memory_bytes": memory,
                "sessions_running": self._history.sessions_running,
            },
            "hour": self._history.hour(),
        }


@asynccontextmanager
async def lifespan(host: Host, _: MetricsSettings) -> AsyncIterator[Metrics]:
    """Count while the server runs."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # each series: the start of the plugin
    registry = CollectorRegistry()
    recorder = Recorder(registry)
    disk = DiskUsage(host.artifacts)
    collector = HostCollector(host.board, disk)
    registry.register(collector)
    history = History(lambda: int(collector.gauges().get("waves.queued", 0)))
    try:
        with recorder.listening(), history.listening():
            yield Metrics(host, registry, disk, collector, history)
    finally:
        await disk.aclose()
