"""The plugins that are installed, whichever they are: names, and how to switch on just some."""

from backend.plugins import discover

NAMES = tuple(item.name for item in discover() if item.plugin)


NEEDED = {
    "RR_OSC_TARGETS": "127.0.0.1:9",
    "RR_WEBHOOK_URLS": "http://127.0.0.1:9/",
    "RR_WEBHOOK_SECRET": "bm9ib2R5IGlzIHRvbGQgYSBzZWNyZXQgaGVyZQ==",
    "RR_MQTT_URL": "mqtt://127.0.0.1:9",
    "RR_NATS_URL": "nats://127.0.0.1:9",
    "RR_PLAYBACK_DEVICE": "no card has this name",
}
"""What a plugin needs besides being on; port 9 is where what is sent is thrown away."""
ALONE = frozenset({"mqtt", "nats", "playback", "webhook"})
"""Those that are `degraded` where nobody answers, or there is no sound card."""


def switches(*on: str) -> dict[str, str]:
    """Return the variables that switch the plugins called `on` on, and all others off."""
    return NEEDED | {
        f"{item.plugin.settings.model_config.get('env_prefix', '')}ENABLED": str(item.name in on)
        for item in discover()
        if item.plugin
    }
