"""Figures that are read on request: the states of plugins, their gauges, memory, the disk."""

import re
from collections.abc import Iterator
from typing import get_args

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from backend.plugins import Gauge, PluginStatuses, State
from plugins.metrics.disk import DiskUsage
from plugins.metrics.memory import resident_bytes
from plugins.metrics.recorder import PREFIX

log = structlog.get_logger(__name__)

STATES: tuple[str, ...] = get_args(State)
_UNFIT = re.compile(r"[^A-Za-z0-9_]")


class HostCollector(Collector):
    """Collects these figures, on any thread."""

    def __init__(self, board: PluginStatuses, disk: DiskUsage) -> None:
        self._board = board
        self._disk = disk
        self._unreadable: set[tuple[str, str]] = set()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the current figures."""
        yield self._states()
        yield from self._gauges()
        yield self._memory()
        yield from self._usage()

    def gauges(self) -> dict[str, float]:
        """Return the gauges that can be read, as `plugin.name`."""
        read = {f"{one.plugin}.{one.name}": self._read(one) for one in self._board.gauges}
        return {name: value for name, value in read.items() if value is not None}

    def _states(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            f"{PREFIX}_plugin_state",
            "State of each plugin.",
            labels=("plugin", "state"),
        )
        for name, status in self._board:
            for state in STATES:
                family.add_metric((name, state), float(status.state == state))
        return family

    def _gauges(self) -> Iterator[GaugeMetricFamily]:
        """Yield each gauge, the first of those that would get the same name."""
        taken = set()
        for gauge in self._board.gauges:
            name = _UNFIT.sub("_", f"{PREFIX}_plugin_{gauge.plugin}_{gauge.name}")
            value = self._read(gauge)
            if value is not None and name not in taken:
                taken.add(name)
                yield GaugeMetricFamily(name, f"{gauge.plugin}: {gauge.doc}", value=value)

    def _read(self, gauge: Gauge) -> float | None:
        name = gauge.plugin, gauge.name
        try:
            return float(gauge.read())
        except Exception:
            if name not in self._unreadable:
                self._unreadable.add(name)
                log.exception("gauge cannot be read", plugin=gauge.plugin, gauge=gauge.name)
            return None

    def _memory(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            f"{PREFIX}_memory_bytes", "Resident memory.", labels=("process",)
        )
        for process, value in resident_bytes().items():
            family.add_metric((process,), value)
        return family

    def _usage(self) -> Iterator[GaugeMetricFamily]:
        usage = self._disk.usage
        if usage is None:
            return
        for what, doc, values in (
            ("bytes", "Size on the disk.", usage.bytes),
            ("files", "Files on the disk.", usage.files),
        ):
            family = GaugeMetricFamily(f"{PREFIX}_disk_{what}", doc, labels=("tree",))
            for tree, value in values.items():
                family.add_metric((tree,), value)
            yield family
        yield GaugeMetricFamily(
            f"{PREFIX}_disk_age_seconds",
            "Since the disk was measured.",
            value=usage.age_s,
        )
