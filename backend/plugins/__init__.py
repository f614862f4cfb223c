"""The plugin contract: what a plugin is, how it is found, started and stopped."""

from backend.config import Listed
from backend.plugins import contract
from backend.plugins.commands import (
    Server,
    existing_artifacts,
    interruptible,
    server_in_settings,
)
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
    "Listed",
    "Plugin",
    "PluginSettings",
    "PluginStatus",
    "Server",
    "State",
    "contract",
    "discover",
    "enabled",
    "existing_artifacts",
    "interruptible",
    "load_settings",
    "server_in_settings",
]
