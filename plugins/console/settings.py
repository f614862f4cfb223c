"""Settings of the console plugin, and the plugin itself as the host discovers it."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from backend.plugins import Plugin, PluginSettings


class ConsoleSettings(PluginSettings):
    """Settings of the console plugin, each from `RR_CONSOLE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="RR_CONSOLE_")

    visitor_open: bool = Field(
        False,
        description="Let everybody use the visitor's page, also where RR_API_TOKEN is set.",
    )


plugin = Plugin(
    name="console",
    settings=ConsoleSettings,
    lifespan="plugins.console.plugin:lifespan",
    router="plugins.console.routes:router",
    listens=(),
)
