"""The services that voices and hearing ask, and the codes of their refusals.

ElevenLabs    key in `xi-api-key`; refusals as {"detail": {"status": code, "message"}} or
              {"detail": [...]}
OpenAI, and   key in `Authorization: Bearer`; refusals as {"error": {"message", "type", "code"}}
compatible

A refusal's message is never shown, since it may quote the text or a part of the key; known codes
are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from backend.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr

ELEVENLABS_URL: Final = "https://api.elevenlabs.io"
OPENAI_URL: Final = "https://api.openai.com/v1"

KNOWN_CODES: Final = frozenset(
    {
        "billing_not_active",
        "detected_unusual_activity",
        "insufficient_quota",
        "invalid_api_key",
        "max_character_limit_exceeded",
        "missing_permissions",
        "model_not_found",
        "quota_exceeded",
        "rate_limit_exceeded",
        "system_busy",
        "too_many_concurrent_requests",
        "voice_not_found",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """A POST to a service; `body` is what httpx2 takes as `json`, `data` and `files`."""

    path: str
    body: Mapping[str, Any] = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its address, its key, and where both are set."""

    name: str
    url: str
    """The address before every path, without a slash at its end."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers that hold the key."""
    check_path: str
    """A path that costs nothing, and shows that the service answers and takes the key."""
    key_variable: str


def elevenlabs(key: "SecretStr | None", url: str = "", *, used_by: str) -> Service:
    """Return ElevenLabs, or raise SettingsError if its key is missing or impossible."""
    variable = "ELEVENLABS_API_KEY"
    secret = _plain(variable, key)
    if not secret:
        raise SettingsError(f"{used_by} elevenlabs needs a key: set {variable}")
    url = url.rstrip("/") or ELEVENLABS_URL
    return Service("elevenlabs", url, {"xi-api-key": secret}, "/v1/models", variable)


def openai(
    key: "SecretStr | None",
    openai_key: "SecretStr | None",
    url: str = "",
    *,
    variable: str,
    used_by: str,
) -> Service:
    """Return OpenAI, or the server at `url`, or raise SettingsError for a wrong key.

    `key` is that of the server, from `variable`; `openai_key` goes to OpenAI and nowhere else.
    """
    url = url.rstrip("/") or OPENAI_URL
    secret = _plain(variable, key)
    if not secret and url == OPENAI_URL:
        variable = "OPENAI_API_KEY"
        secret = _plain(variable, openai_key)
        if not secret:
            raise SettingsError(f"{used_by} openai needs a key: set {variable}")
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    return Service("openai", url, headers, "/models", variable)


def refusal_code(body: bytes | None) -> str | None:
    """Return the known code in a refusal's JSON, if it is JSON and has one."""
    try:
        answer = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    for part in (answer.get("detail"), answer.get("error")):
        if isinstance(part, dict):
            for key in ("status", "code", "type"):
                code = part.get(key)
                if isinstance(code, str) and code in KNOWN_CODES:
                    return code
    return None


def _plain(variable: str, secret: "SecretStr | None") -> str:
    """Return a key, or "" if it is not set; the error for an impossible one does not show it."""
    key = secret.get_secret_value().strip() if secret is not None else ""
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(f"{variable} holds a space or a character that no key has")
    return key
