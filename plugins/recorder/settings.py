"""Settings of the recorder plugin, and the plugin itself as the host discovers it."""

from backend.plugins import Plugin, PluginSettings
from backend.signals import defined


class RecorderSettings(PluginSettings, env_prefix="RR_RECORDER_"):
    """Settings of the recorder plugin, each from `RR_RECORDER_<NAME>`."""


plugin = Plugin(
    name="recorder",
    settings=RecorderSettings,
    lifespan="plugins.recorder.plugin:lifespan",
    router="plugins.recorder.routes:router",
    commands="plugins.recorder.replay_command:app",
    command="replay",
    listens=lambda _: tuple(signal.name for signal in defined()),
    order=1000,  # after the others, whose signals are defined by then
)
