"""Settings of the webhook plugin, and the plugin itself as the host discovers it."""

from base64 import b64decode
from typing import Self

from pydantic import AnyHttpUrl, Field, SecretStr, model_validator

from backend.plugins import Listed, Plugin, PluginSettings


class WebhookSettings(PluginSettings, env_prefix="RR_WEBHOOK_"):
    """Settings of the webhook plugin, each from `RR_WEBHOOK_<NAME>`."""

    enabled: bool = Field(False, description="Whether signals are posted; needs URLs and a secret.")
    urls: Listed[AnyHttpUrl] = Field((), description="Where to, separated by commas.")
    secret: SecretStr = Field(SecretStr(""), description="Key of the signatures, in base64.")
    signals: Listed[str] = Field(
        ("tts_written", "turn_finished", "session_finished", "waves_written", "waves_failed"),
        description="Names of the signals, separated by commas.",
    )
    texts: bool = Field(False, description="Whether what agents and visitors say is posted too.")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        try:
            key = b64decode(self.secret.get_secret_value().removeprefix("whsec_"))
        except ValueError:
            key = b""
        if self.enabled and not (self.urls and key):
            needed = "RR_WEBHOOK_URLS and RR_WEBHOOK_SECRET, a key in base64"
            raise ValueError(f"RR_WEBHOOK_ENABLED=true needs {needed}")
        return self


plugin = Plugin(
    name="webhook",
    settings=WebhookSettings,
    lifespan="plugins.webhook.plugin:lifespan",
    listens=lambda settings: settings.signals,
    order=900,  # after those whose signals are chosen
)
