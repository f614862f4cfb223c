"""The plugin contract: what a plugin is, how it is found, started and stopped."""

from backend.plugins import contract
from backend.plugins.contract import (
    Board,
    Discovered,
    Gauge,
    Host,
    Plugin,
    PluginSettings,
    PluginStatus,
    State,
    discover,
    enabled,
    load_settings,
)

__all__ = [
    "Board",
    "Discovered",
    "Gauge",
    "Host",
    "Plugin",
    "PluginSettings",
    "PluginStatus",
    "State",
    "contract",
    "discover",
    "enabled",
    "load_settings",
]
