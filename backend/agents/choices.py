"""The choice of a model: provider, name, address, key and output mode.

`openai` uses the chat format, not OpenAI's newer responses format: every compatible server has it
(`openai-chat`), so a show that moves from one to the other changes only an address. Addresses are
never taken from a library's environment variables, and `openai-chat` never gets OpenAI's key.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from backend.errors import SettingsError

OutputMode = Literal["tool", "native", "prompted"]
"""How a model returns its fields: a tool call, the provider's JSON schema, or prompted JSON."""

OFFLINE = "rehearsal"
"""The model that needs no network."""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_SECRET_LOOK = re.compile(r"(sk|AIza|pk|key)[-_]?[A-Za-z0-9]{8}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Provider:
    """The default address of a provider, and the default variable of its key."""

    base_url: str | None
    key: str | None


PROVIDERS = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": Provider("https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "google": Provider("https://generativelanguage.googleapis.com", "GOOGLE_API_KEY"),
    "openai-chat": Provider(None, None),
}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One model that may answer for an agent."""

    model: str
    """`provider:model`, or `rehearsal`."""
    base_url: str | None = None
    key: str | None = None
    """The name of the variable that holds the key, never the key."""
    output: OutputMode = "tool"

    def __post_init__(self) -> None:
        if self.key is not None and not _VARIABLE.fullmatch(self.key):
            raise SettingsError(
                "key must be the name of a variable such as OPENROUTER_API_KEY; the key itself "
                "belongs in .env"
            )
        if self.is_offline:
            return
        if self.provider not in PROVIDERS or not self.name:
            known = ", ".join(f"{name}:..." for name in PROVIDERS)
            raise SettingsError(
                f"model {_harmless(self.model)!r} must be {OFFLINE!r} or one of {known}"
            )
        if self.address is None:
            raise SettingsError(
                f"model {self.model!r} needs a base_url such as http://127.0.0.1:11434/v1"
            )
        if not _is_address(self.address):
            raise SettingsError(
                f"base_url {_harmless(self.address)!r} must look like http://127.0.0.1:11434/v1, "
                "without a user, a key or a question mark in it"
            )

    @property
    def is_offline(self) -> bool:
        """Whether this is the rehearsal."""
        return self.model == OFFLINE

    @property
    def provider(self) -> str:
        """The part before the colon."""
        return self.model.partition(":")[0]

    @property
    def name(self) -> str:
        """The provider's name of the model."""
        return self.model.partition(":")[2].strip()

    @property
    def address(self) -> str | None:
        """The address, without a slash at its end; None for the rehearsal."""
        if self.is_offline:
            return None
        address = self.base_url or PROVIDERS[self.provider].base_url
        return address.rstrip("/") if address else None

    @property
    def variable(self) -> str | None:
        """The variable that holds the key; None if no key is needed."""
        return None if self.is_offline else self.key or PROVIDERS[self.provider].key


REHEARSAL = ModelChoice(OFFLINE)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_well = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and port_is_well
        and not (parts.username or parts.password or parts.query or parts.fragment)
    )


def _harmless(text: str) -> str:
    """Return `text` cut for a message, or asterisks if it could be a key."""
    hidden = _SECRET_LOOK.search(text) or "@" in text or "?" in text
    return "********" if hidden else text[:80]
