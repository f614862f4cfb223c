"""The plugins that are installed, whichever they are: names, and how to switch on just some."""

from backend.plugins import discover

NAMES = tuple(item.name for item in discover() if item.plugin)


def switches(*on: str) -> dict[str, str]:
    """Return the variables that switch the plugins called `on` on, and all others off."""
    return {
        f"{item.plugin.settings.model_config.get('env_prefix', '')}ENABLED": str(item.name in on)
        for item in discover()
        if item.plugin
    }
