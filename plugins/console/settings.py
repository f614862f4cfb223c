"""Settings of the console plugin, and the plugin itself as the host discovers it."""

from pydantic import Field

from backend.plugins import Plugin, PluginSettings


class ConsoleSettings(PluginSettings, env_prefix="RR_CONSOLE_"):
    """Settings of the console plugin, each from `RR_CONSOLE_<NAME>`."""

    visitor_open: bool = Field(
        False,
        description="Let everybody use the visitor's page, also where RR_API_TOKEN is set.",
    )


OPEN_PATHS = ("GET /", "GET /console", "GET /page/*", "GET /v1/page")
VISITOR_PATHS = (
    "POST /v1/stt",
    "POST /v1/chat",
    "GET /v1/sessions/*/events",
    "GET /v1/audio/tts/*",
    "GET /v1/audio/waves/*",
    "GET /v1/water/waves/*",
    "GET /v1/slots",
)
"""All that the visitor's page asks for."""


def open_paths(settings: ConsoleSettings) -> tuple[str, ...]:
    """Return the requests that need no token."""
    return OPEN_PATHS + (VISITOR_PATHS if settings.visitor_open else ())


plugin = Plugin(
    name="console",
    settings=ConsoleSettings,
    lifespan="plugins.console.plugin:lifespan",
    router="plugins.console.routes:router",
    listens=(),
    open_paths=open_paths,
)
