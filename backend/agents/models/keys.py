"""Finds the keys of providers in the settings, the environment and `.env`."""

import os

from pydantic import SecretStr

from backend.config import Settings, env_file


class Keys:
    """The keys, by the name of their variable."""

    def __init__(self, settings: Settings) -> None:
        self._known = {
            "OPENAI_API_KEY": settings.openai_api_key,
            "ANTHROPIC_API_KEY": settings.anthropic_api_key,
            "GOOGLE_API_KEY": settings.google_api_key,
        }
        self._in_file = env_file().values

    def get(self, variable: str) -> SecretStr | None:
        """Return the key in `variable`; None if it is not set or empty."""
        if variable in self._known:
            return self._known[variable]
        value = (os.environ.get(variable) or self._in_file.get(variable) or "").strip()
        return SecretStr(value) if value else None
