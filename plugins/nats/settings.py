"""Settings of the NATS plugin, and the plugin itself as the host discovers it."""

from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, SecretStr, model_validator

from backend.errors import SettingsError
from backend.plugins import Plugin, PluginSettings
from backend.services import NATS_URL, NatsLogin
from backend.signals import defined

WORD = r"^[A-Za-z0-9_-]{1,64}$"


class NatsSettings(PluginSettings, env_prefix="RR_NATS_", validate_by_name=True):
    """Settings of the NATS plugin, each from `RR_NATS_<NAME>`."""

    enabled: bool = Field(
        False,
        validation_alias=AliasChoices("RR_NATS_ENABLED", "RR_NATS_EVENTS"),
        description="Whether signals are published; RR_NATS_EVENTS is the same.",
    )
    url: str = Field(
        "nats://127.0.0.1:4222",
        pattern=NATS_URL,
        examples=["nats://host:4222 or tls://host:4222"],
        description="The server, or tls://",
    )
    ca: Path | None = Field(None, description="File of the authority (PEM) that tls:// trusts.")
    user: str = Field("", description="Name of the installation at the server, if it asks.")
    password: SecretStr = Field(SecretStr(""), description="Password of that name.")
    nkey: SecretStr = Field(SecretStr(""), description="Seed of an nkey, SU..., instead of a user.")
    installation: str = Field("main", pattern=WORD, description="What stands in subjects after rr.")
    texts: bool = Field(False, description="Whether what agents and visitors say is sent too.")

    @property
    def login(self) -> NatsLogin:
        """Where to connect, and how."""
        return NatsLogin(self.url, self.ca, self.user, self.password, self.nkey)

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.enabled:
            try:
                self.login.options()
            except SettingsError as error:
                raise ValueError(str(error)) from error
        return self


plugin = Plugin(
    name="nats",
    settings=NatsSettings,
    lifespan="plugins.nats.plugin:lifespan",
    router="plugins.nats.routes:router",
    check="plugins.nats.plugin:check",
    listens=lambda _: tuple(signal.name for signal in defined()),
    presents=True,
    order=900,  # after the others, whose signals are defined by then
)
