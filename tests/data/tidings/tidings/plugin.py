"""A whole plugin: its settings, its lifespan, and the object that the entry point names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic_settings import SettingsConfigDict

from backend.plugins import Host, Plugin, PluginSettings
from backend.signals import TtsWritten, tts_written


class TidingsSettings(PluginSettings):
    """Settings, each from `RR_TIDINGS_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="RR_TIDINGS_")

    file: Path = Path("tidings.txt")


@asynccontextmanager
async def lifespan(host: Host, settings: TidingsSettings) -> AsyncIterator[None]:
    """Note the path of each utterance while the host runs."""
    with settings.file.open("a", encoding="utf-8", buffering=1) as file:

        def receive(sender: object, *, event: TtsWritten) -> None:
            file.write(f"{event.audio_path}\n")

        with tts_written.connected_to(receive):
            yield


plugin = Plugin(name="tidings", settings=TidingsSettings, lifespan=lifespan)
