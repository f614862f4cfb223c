"""Settings of the waves plugin, and the plugin itself as the host discovers it.

Light on purpose: a host with the plugin switched off imports this module and nothing else of it.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from backend.plugins import Plugin, PluginSettings

V3_SAMPLE_RATE = 8000
"""The V3 algorithm's frame sizes, pitch range and output are defined at this rate, in Hertz."""

Engine = Literal["exact", "librosa"]


class WavesSettings(PluginSettings):
    """Settings of the waves plugin, each from `RR_WAVES_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="RR_WAVES_")

    max_workers: int = Field(2, ge=1, le=16, description="Utterances decomposed at the same time.")
    queue_max_size: int = Field(
        128, ge=0, le=10_000, description="Utterances that may wait; further ones are dropped."
    )
    job_timeout_s: float = Field(
        60, gt=0, le=3600, description="Seconds one utterance may take before its worker is killed."
    )
    processing_sr: int = Field(
        V3_SAMPLE_RATE, description="Sampling rate of the analysis and the waves in Hertz: 8000."
    )
    max_duration_s: float = Field(
        600, gt=0, le=3600, description="Longest utterance, in seconds, that is decomposed."
    )
    engine: Engine = Field(
        "exact", description="exact is the fast one; librosa the reference it equals."
    )
    memory_limit_mb: int = Field(
        2048, ge=256, le=65_536, description="Megabytes of memory one worker may use (Linux)."
    )
    min_free_mb: int = Field(
        200, ge=0, description="Free megabytes of disk below which utterances wait; 0 is off."
    )
    backfill_interval_s: float = Field(
        60, ge=0, le=86_400, description="Seconds between searches for missing waves; 0 is off."
    )
    stop_limit_s: float = Field(
        3, ge=0, le=4, description="Seconds that running utterances get to end when the host stops."
    )

    kernel_cache: Path | None = Field(
        None,
        description="Directory of compiled code; if empty, the user's cache directory.",
    )

    @field_validator("processing_sr")
    @classmethod
    def _is_the_rate_of_v3(cls, value: int) -> int:
        if value != V3_SAMPLE_RATE:
            raise ValueError(
                f"the V3 algorithm is defined at {V3_SAMPLE_RATE} Hz only: remove this setting"
            )
        return value


plugin = Plugin(
    name="waves",
    settings=WavesSettings,
    lifespan="plugins.waves.plugin:lifespan",
    router="plugins.waves.routes:router",
    commands="plugins.waves.cli.main:app",
    check="plugins.waves.preparing:check",
    outcomes="plugins.waves.signals:outcomes",
    listens=("tts_written",),
    order=10,
)
