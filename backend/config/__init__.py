"""The settings of the host, and the source of each value."""

from backend.config.env_file import ENV_FILE, FromEnvironment, env_file, one_reading
from backend.config.lists import Listed
from backend.config.origins import origin_of, split_host
from backend.config.report import (
    EffectiveSetting,
    Unread,
    effective,
    read_settings,
    unread,
)
from backend.config.settings import PREFIX, REPLACED, LogLevel, Settings, is_loopback
from backend.config.text_file import dotted, line_of, read_text, read_toml
from backend.config.tls import client_context, server_context
from backend.config.wording import explain

__all__ = [
    "ENV_FILE",
    "PREFIX",
    "REPLACED",
    "EffectiveSetting",
    "FromEnvironment",
    "Listed",
    "LogLevel",
    "Settings",
    "Unread",
    "client_context",
    "dotted",
    "effective",
    "env_file",
    "explain",
    "is_loopback",
    "line_of",
    "one_reading",
    "origin_of",
    "read_settings",
    "read_text",
    "read_toml",
    "server_context",
    "split_host",
    "unread",
]
