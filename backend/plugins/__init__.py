"""The plugin contract: what a plugin is, how it is found, started and stopped."""

from backend.config import Listed, line_of, read_toml
from backend.plugins.commands import (
    Server,
    existing_artifacts,
    interruptible,
    server_in_settings,
    spoken,
)
from backend.plugins.contract import Host, Plugin, PluginSettings
from backend.plugins.loader import Discovered, discover, enabled
from backend.plugins.status import Gauge, PluginStatus, PluginStatuses, State
from backend.plugins.switches import Switches, running

__all__ = [
    "Discovered",
    "Gauge",
    "Host",
    "Listed",
    "Plugin",
    "PluginSettings",
    "PluginStatus",
    "PluginStatuses",
    "Server",
    "State",
    "Switches",
    "discover",
    "enabled",
    "existing_artifacts",
    "interruptible",
    "line_of",
    "read_toml",
    "running",
    "server_in_settings",
    "spoken",
]
