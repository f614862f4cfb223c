"""Settings of the stream plugin, and the plugin itself as the host discovers it."""

from pydantic import Field

from backend.plugins import Plugin, PluginSettings
from backend.tracking import TRACKED_SIGNALS


class StreamSettings(PluginSettings, env_prefix="RR_STREAM_"):
    """Settings of the stream plugin, each from `RR_STREAM_<NAME>`."""

    keep_sessions: int = Field(
        100, ge=1, le=10_000, description="Finished sessions whose events can still be read."
    )
    waves: bool = Field(True, description="Whether the events tell of waves, as slot.waves.")
    waves_limit_s: float = Field(
        120, gt=0, le=3600, description="Seconds after done that a session's waves are waited for."
    )


def _listens(settings: StreamSettings) -> tuple[str, ...]:
    of_waves = (*TRACKED_SIGNALS, "waves_written", "waves_failed")
    return ("event_published", *(of_waves if settings.waves else ()))


plugin = Plugin(
    name="stream",
    settings=StreamSettings,
    lifespan="plugins.stream.plugin:lifespan",
    router="plugins.stream.routes:router",
    listens=_listens,
    presents=True,
    order=20,
)
