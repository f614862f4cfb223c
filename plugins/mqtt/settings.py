"""Settings of the MQTT plugin, and the plugin itself as the host discovers it."""

from pydantic import Field, SecretStr

from backend.plugins import Plugin, PluginSettings
from backend.tracking import TRACKED_SIGNALS

BROKER = r"^mqtts?://([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$"
WORD = r"^[A-Za-z0-9_-]{1,64}$"
SIGNALS = (*TRACKED_SIGNALS, "waves_written", "waves_failed")


class MqttSettings(PluginSettings, env_prefix="RR_MQTT_"):
    """Settings of the MQTT plugin, each from `RR_MQTT_<NAME>`."""

    enabled: bool = Field(False, description="Whether a broker is told what happens.")
    url: str = Field("mqtt://127.0.0.1:1883", pattern=BROKER, description="The broker, or mqtts://")
    user: str = Field("", description="Name of the installation at the broker, if it asks.")
    password: SecretStr = Field(SecretStr(""), description="Password of that name.")
    installation: str = Field("main", pattern=WORD, description="What stands in topics after rr/.")
    discovery_prefix: str = Field("homeassistant", pattern=WORD, description="For Home Assistant.")
    texts: bool = Field(False, description="Whether what agents and visitors say is sent too.")


lifespan = "plugins.mqtt.plugin:lifespan"
plugin = Plugin("mqtt", MqttSettings, lifespan, listens=SIGNALS, presents=True)
