"""What is read off the host: whatever a plugin shows, the others' figures stay."""

from pathlib import Path
from typing import Never

from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from backend.plugins import Gauge, PluginStatuses
from backend.storage import Artifacts
from plugins.metrics.disk import DiskUsage
from plugins.metrics.host import HostCollector
from tests.plugins.metrics.expositions import Figures


def figures(board: PluginStatuses, tmp_path: Path, times: int = 1) -> Figures:
    """Return what a registry with a collector of `board` shows the last of some times."""
    registry = CollectorRegistry()
    registry.register(HostCollector(board, DiskUsage(Artifacts(tmp_path))))
    shown = [generate_latest(registry).decode() for _ in range(times)]
    return Figures(shown[-1])


def unreadable() -> Never:
    raise RuntimeError("the lamp is dark")


def test_a_gauge_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    """It is left out and logged, however often somebody asks; the others are shown."""
    board = PluginStatuses()
    board.show(Gauge("lamp", "dark", "Lamps that are dark.", unreadable))
    board.show(Gauge("lamp", "lit", "Lamps that are lit.", lambda: 3))

    with capture_logs() as logs:
        shown = figures(board, tmp_path, times=3)

    assert 3 == shown.value("plugin_lamp_lit")
    assert "lamp: Lamps that are lit." == shown.families["plugin_lamp_lit"].documentation
    assert "plugin_lamp_dark" not in shown.families
    assert ["dark"] == [entry["gauge"] for entry in logs]


def test_names_that_prometheus_does_not_know_are_made_fit(tmp_path: Path) -> None:
    """A name is cut to letters, digits and underscores; of two that become one, one is shown."""
    board = PluginStatuses()
    board.show(Gauge("big-lamp", "lit now", "Lamps.", lambda: 1))
    board.show(Gauge("big.lamp", "lit now", "Lamps.", lambda: 2))

    shown = figures(board, tmp_path)

    assert 1 == shown.value("plugin_big_lamp_lit_now")


def test_each_plugin_is_in_one_state(tmp_path: Path) -> None:
    """A plugin's state is 1 and its other states are 0."""
    board = PluginStatuses()
    board.set("lamp", "degraded", "one is dark")

    shown = figures(board, tmp_path)

    assert {"degraded": 1} == shown.by("state", "plugin_state")
    assert 5 == len(shown.families["plugin_state"].samples)
    assert "disk_bytes" not in shown.families
