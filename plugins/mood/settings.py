"""Settings of the mood plugin, and the plugin itself as the host discovers it."""

from pydantic import Field

from backend.plugins import Plugin, PluginSettings


class MoodSettings(PluginSettings, env_prefix="RR_MOOD_"):
    """Settings of the mood plugin, each from `RR_MOOD_<NAME>`."""

    enabled: bool = Field(False, description="Whether the mood of a visitor's words is read.")
    agent: str = Field(
        "", description="Agent whose models read it, such as gpt-4o; the word list if empty."
    )


plugin = Plugin(
    name="mood",
    settings=MoodSettings,
    lifespan="plugins.mood.plugin:lifespan",
    sends="plugins.mood.signals:sent",
    listens=("session_started",),
    include_text=True,
)
