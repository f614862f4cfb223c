"""Settings of the metrics plugin, and the plugin itself as the host discovers it."""

from backend.plugins import Plugin, PluginSettings


class MetricsSettings(PluginSettings, env_prefix="RR_METRICS_"):
    """Settings of the metrics plugin, each from `RR_METRICS_<NAME>`."""


plugin = Plugin(
    name="metrics",
    settings=MetricsSettings,
    lifespan="plugins.metrics.plugin:lifespan",
    router="plugins.metrics.routes:router",
    commands="plugins.metrics.stats:app",
    command="stats",
    listens=(
        *("speech_heard", "session_started", "tts_written", "session_finished", "event_published"),
        *("waves_written", "waves_failed"),
    ),
    order=5,  # before the waves, so that it hears the last of them
)
