"""The settings of the host, and the source of each value."""

from backend.config.lists import Listed
from backend.config.origins import origin_of, split_host
from backend.config.report import (
    EffectiveSetting,
    Unread,
    effective,
    env_values,
    read_settings,
    unread,
)
from backend.config.settings import ENV_FILE, PREFIX, REPLACED, LogLevel, Settings, is_loopback
from backend.config.text_file import dotted, line_of, read_text, read_toml
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
    "dotted",
    "effective",
    "env_values",
    "explain",
    "is_loopback",
    "line_of",
    "origin_of",
    "read_settings",
    "read_text",
    "read_toml",
    "server_context",
    "split_host",
    "unread",
]
