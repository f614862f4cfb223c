"""Settings of the waves plugin, and the plugin itself as the host discovers it.

Light on purpose: a host with the plugin switched off imports this module and nothing else of it.
"""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator

from backend.plugins import Listed, Plugin, PluginSettings
from backend.services import NATS_URL, NatsLogin

V3_SAMPLE_RATE = 8000
"""The V3 algorithm's frame sizes, pitch range and output are defined at this rate, in Hertz."""

Engine = Literal["exact", "librosa"]
DISHES = 6


class WavesSettings(PluginSettings, env_prefix="RR_WAVES_"):
    """Settings of the waves plugin, each from `RR_WAVES_<NAME>`."""

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
    farm: str = Field(
        "",
        pattern=f"^$|{NATS_URL}",
        examples=["nats://host:4222 or tls://host:4222"],
        description="NATS server by which other machines make the waves: nats:// or tls://.",
    )
    farm_ca: Path | None = Field(
        None, description="Certificate authority (PEM) of that server, for tls://."
    )
    farm_user: str = Field("", description="Name at that server, if it asks.")
    farm_password: SecretStr = Field(SecretStr(""), description="Password of that name.")
    farm_nkey: SecretStr = Field(
        SecretStr(""), description="Seed of an nkey, instead of a name; needs the extra nkeys."
    )
    profiles: Listed[str] = Field(
        ("v3",), description="Which waves are made: v3, and beside it slots, faraday or others."
    )
    faraday_lowest_hz: float = Field(
        20, ge=10, le=60, description="Hertz of slot 1: low ones need the least force."
    )
    faraday_detune_hz: float = Field(
        0.5, ge=0, le=10, description="Hertz from slot to slot: no two dishes look alike."
    )
    faraday_follow: float = Field(
        0.05, ge=0, le=0.1, description="How far the voice's pitch moves the frequency, of itself."
    )
    faraday_glide_hz_per_s: float = Field(
        1, ge=0.5, le=3, description="Hertz a second at most: faster glides leave the water still."
    )
    faraday_attack_s: float = Field(
        0.03, ge=0.02, le=0.04, description="Seconds to rise: slower looks late, faster knocks."
    )
    faraday_release_s: float = Field(
        1, ge=0.3, le=1, description="Seconds to fall: water needs longer than a syllable."
    )
    faraday_steady: float = Field(
        0.35,
        ge=0,
        le=0.6,
        description="Share of the level that lasts while somebody speaks: "
        "more moves water sooner, less shows the voice.",
    )
    faraday_rise_db_per_s: float = Field(
        2,
        ge=0.5,
        le=40,
        description="dB a second above the highest power so far, after the onset: "
        "what a supply and a floor bear.",
    )
    faraday_fade_s: float = Field(
        0.12, ge=0.06, le=1, description="Seconds of soft start and end: nothing knocks."
    )
    faraday_ceiling_db: Listed[Annotated[float, Field(ge=-40, le=-1)]] = Field(
        (-1,) * DISHES,
        min_length=DISHES,
        max_length=DISHES,
        description="dBFS that no sample exceeds in dishes 1 to 6: what each bears.",
    )
    faraday_high_pass_hz: float = Field(
        10, ge=1, le=15, description="Hertz below which a transducer only travels."
    )
    faraday_notch_hz: Listed[Annotated[float, Field(ge=0, le=100)]] = Field(
        (0,) * DISHES,
        min_length=DISHES,
        max_length=DISHES,
        description="Hertz of the resonance of transducers 1 to 6, taken out; 0 is off.",
    )
    faraday_notch_db: float = Field(
        -12, ge=-40, le=0, description="dB at the resonance, where it throws the dish."
    )
    faraday_notch_width_hz: float = Field(
        2, ge=0.2, le=20, description="Hertz of the notch at half its depth, as the resonance is."
    )
    kernel_cache: Path | None = Field(
        None,
        description="Directory of compiled code; if empty, the user's cache directory.",
    )

    def farm_login(self) -> NatsLogin:
        """Return how the server of the farm is reached."""
        return NatsLogin(
            self.farm, self.farm_ca, self.farm_user, self.farm_password, self.farm_nkey
        )

    def of_profile(self, profile: str) -> dict[str, Any]:
        """Return the settings of a profile, by what follows its name."""
        prefix = f"{profile}_"
        found = self.model_dump().items()
        return {key.removeprefix(prefix): value for key, value in found if key.startswith(prefix)}

    @field_validator("profiles")
    @classmethod
    def _are_installed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value == ("v3",):  # others are searched for only where they are wanted
            return value
        known = {
            "v3",
            *(point.name for point in entry_points(group="reflective_resonance.profiles")),
        }
        if unknown := sorted(set(value) - known):
            raise ValueError(f"no profile {unknown[0]!r}: choose of {', '.join(sorted(known))}")
        if value[:1] != ("v3",) or len(set(value)) < len(value):
            raise ValueError("v3 is always made and comes first; name each of the others once")
        return value

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
    check="plugins.waves.checking:check",
    outcomes="plugins.waves.signals:outcomes",
    listens=("tts_written",),
    order=10,
)
