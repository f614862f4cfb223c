"""Builds the models of the providers, and imports a provider's library when it is first needed."""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from pydantic import SecretStr

from backend.agents.choices import ModelChoice
from backend.services import RetryPolicy

if TYPE_CHECKING:
    from google.genai.client import Client as GoogleClient
    from pydantic_ai.models import Model
    from pydantic_ai.profiles import ModelProfile
    from pydantic_ai.settings import ModelSettings

    from backend.agents.models.retries import RetryingClient

NO_KEY = "none"
"""Sent to a server that needs no key; left out, OpenAI's library would send OpenAI's."""
ANTHROPIC_HIGHEST_TEMPERATURE = 1.0
_REASONS = (
    "thinking_always_enabled",
    "thinking_enabled_by_default",
    "anthropic_disallows_sampling_settings",
)
"""What pydantic-ai's profiles say of a model that reasons, or refuses a temperature anyway."""


class Providers:
    """Builds models and keeps their HTTP clients, one for each provider.

    `temperature` and `max_tokens` go to models that take them, unless their agent says otherwise.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        policy: RetryPolicy | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._policy = policy or RetryPolicy()
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._clients: dict[str, RetryingClient] = {}
        self._google_clients: list[GoogleClient] = []

    def model(
        self, choice: ModelChoice, key: SecretStr | None, settings: "ModelSettings | None"
    ) -> "Model":
        """Return the model of `choice`; this imports its provider's library."""
        builders: dict[str, Callable[..., Model]] = {
            "openai": self._openai,
            "openai-chat": self._openai,
            "anthropic": self._anthropic,
            "google": self._google,
        }
        secret = NO_KEY if key is None else key.get_secret_value()
        return builders[choice.provider](choice, secret, settings)

    async def aclose(self) -> None:
        """Close the HTTP clients."""
        for google in self._google_clients:
            google.close()  # its synchronous half, which we never use but it opens
        for client in list(self._clients.values()):
            await client.aclose()

    def _openai(self, choice: ModelChoice, key: str, settings: "ModelSettings | None") -> "Model":
        from openai import AsyncOpenAI
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.profiles.openai import OpenAIModelProfile
        from pydantic_ai.providers.openai import OpenAIProvider
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

        client = AsyncOpenAI(
            api_key=key,
            base_url=choice.address,
            http_client=self._client(choice.provider),
            max_retries=0,
        )
        provider: OpenAIProvider | OpenAICompatibleProvider
        if choice.provider == "openai":
            provider = OpenAIProvider(openai_client=client)
        else:  # compatible servers know the older of OpenAI's two names for the limit on tokens
            profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
            provider = OpenAICompatibleProvider(
                choice.provider, openai_client=client, profile=profile
            )
        settings = self._settings(settings, provider.model_profile(choice.name))
        return OpenAIChatModel(choice.name, provider=provider, settings=settings)

    def _anthropic(
        self, choice: ModelChoice, key: str, settings: "ModelSettings | None"
    ) -> "Model":
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        with suppress(Exception):  # it would be imported at the first answer, on the event loop
            import_module("opentelemetry.propagate")
        client = AsyncAnthropic(
            api_key=key,
            base_url=choice.address,
            http_client=self._client(choice.provider),
            max_retries=0,
        )
        provider = AnthropicProvider(anthropic_client=client)
        settings = self._settings(
            settings, provider.model_profile(choice.name), ANTHROPIC_HIGHEST_TEMPERATURE
        )
        return AnthropicModel(choice.name, provider=provider, settings=settings)

    def _google(self, choice: ModelChoice, key: str, settings: "ModelSettings | None") -> "Model":
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        provider = GoogleProvider(
            api_key=key, base_url=choice.address, http_client=self._client(choice.provider)
        )
        self._google_clients.append(provider.client)
        settings = self._settings(settings, provider.model_profile(choice.name))
        return GoogleModel(choice.name, provider=provider, settings=settings)

    def _settings(
        self,
        said: "ModelSettings | None",
        profile: "ModelProfile | None",
        highest_temperature: float = 2.0,
    ) -> "ModelSettings | None":
        """Return the installation's settings, changed by those of the agent.

        A model that reasons refuses a temperature, and its reasoning counts among its tokens.
        """
        settings: ModelSettings = {}
        if not any((profile or {}).get(name) for name in _REASONS):
            if self._temperature is not None:
                settings["temperature"] = min(self._temperature, highest_temperature)
            if self._max_tokens is not None:
                settings["max_tokens"] = self._max_tokens
        return {**settings, **(said or {})} or None

    def _client(self, provider: str) -> "RetryingClient":
        from backend.agents.models.retries import RetryingClient

        if provider not in self._clients:
            self._clients[provider] = RetryingClient(
                provider, timeout_s=self._timeout_s, policy=self._policy
            )
        return self._clients[provider]
