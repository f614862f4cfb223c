"""What `doctor` says of playback; nothing is opened, since the server may be playing."""

from collections.abc import Callable

from backend.storage import Artifacts
from plugins.playback.dishes import load_dishes
from plugins.playback.output import find_card
from plugins.playback.settings import PlaybackSettings


def check(settings: PlaybackSettings, _: Artifacts, __: Callable[[str], None]) -> str:
    """Return where how many channels are played, or raise SettingsError or OutputError."""
    n_channels = len(load_dishes(settings.dishes).channels)
    place = settings.file or find_card(settings, n_channels)["name"]
    return f"{n_channels} channels, by {place}"
