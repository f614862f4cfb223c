"""Settings of the playback plugin, and the plugin itself as the host discovers it."""

from pathlib import Path

from pydantic import Field, field_validator

from backend.plugins import Plugin, PluginSettings
from backend.tracking import TRACKED_SIGNALS

LEAST_RATE_HZ = 8000


class PlaybackSettings(PluginSettings, env_prefix="RR_PLAYBACK_"):
    """Settings of the playback plugin, each from `RR_PLAYBACK_<NAME>`."""

    enabled: bool = Field(False, description="Whether this computer plays the waves itself.")
    device: str = Field("", description="Sound card, by number or a part of its name.")
    dishes: Path | None = Field(None, description="A dishes.toml that says what each output plays.")
    file: Path | None = Field(None, description="WAV file that is written in the card's place.")
    rate: int = Field(0, ge=0, le=192_000, description="Hertz; 0: the card's own, 48000 in a file.")
    latency_ms: float = Field(25, ge=5, le=500, description="Sound that the card holds ready.")
    pause_s: float = Field(0.5, ge=0, le=60, description="Seconds of silence between utterances.")
    late_s: float = Field(60, gt=0, le=3600, description="What had to wait longer is skipped.")
    wait_limit_s: float = Field(
        300, gt=0, le=7200, description="Seconds an utterance is waited for; then it is missing."
    )

    @field_validator("file")
    @classmethod
    def _is_a_wav(cls, value: Path | None) -> Path | None:
        if value and value.suffix.lower() != ".wav":
            raise ValueError("the name must end in .wav")
        return value

    @field_validator("rate")
    @classmethod
    def _is_a_rate(cls, value: int) -> int:
        if 0 < value < LEAST_RATE_HZ:
            raise ValueError(f"must be 0, or {LEAST_RATE_HZ} to 192000")
        return value


plugin = Plugin(
    name="playback",
    settings=PlaybackSettings,
    lifespan="plugins.playback.plugin:lifespan",
    router="plugins.playback.routes:router",
    commands="plugins.playback.soundcheck.command:app",
    command="soundcheck",
    check="plugins.playback.checking:check",
    listens=(*TRACKED_SIGNALS, "waves_written", "waves_failed"),
    presents=True,
)
