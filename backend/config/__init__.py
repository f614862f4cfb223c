"""The settings of the host, and the source of each value."""

from backend.config.lists import Listed
from backend.config.report import EffectiveSetting, Unread, effective, read_settings, unread
from backend.config.settings import ENV_FILE, PREFIX, REPLACED, LogLevel, Settings, is_loopback
from backend.config.tls import client_context, server_context
from backend.config.wording import explain

__all__ = [
    "ENV_FILE",
    "PREFIX",
    "REPLACED",
    "EffectiveSetting",
    "Listed",
    "LogLevel",
    "Settings",
    "Unread",
    "client_context",
    "effective",
    "explain",
    "is_loopback",
    "read_settings",
    "server_context",
    "unread",
]
